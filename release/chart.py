"""The chart's archive: as Helm packs it, which is also what goes into an OCI registry, but always of the same bytes."""

import gzip
import io
import tarfile
import tempfile
from pathlib import Path

from release.errors import ReleaseError
from testbed.helm import CHART, helm
from testbed.layout import CHECKOUT


def package(source: Path, epoch: int, target: Path) -> Path:
    """Pack the chart of a source tree into the folder ``target``; the archive.

    Raises ReleaseError with Helm's words.
    """
    chart = source / CHART.relative_to(CHECKOUT)
    with tempfile.TemporaryDirectory() as folder:
        done = helm("package", str(chart), "--destination", folder)
        if done.returncode:
            raise ReleaseError(f"helm could not package the chart: {done.stderr.strip()}")
        [packed] = Path(folder).glob("*.tgz")
        return _normalised(packed, epoch, target / packed.name)


def helm_version() -> str:
    """The version of the Helm that packs, such as v3.18.4."""
    return helm("version", "--template", "{{.Version}}").stdout.strip()


def _normalised(packed: Path, epoch: int, target: Path) -> Path:
    """Helm writes the present time into each member; here it is the commit's."""
    with tarfile.open(packed) as archive:
        contents = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        read = {name: file.read() for name, file in contents.items() if file is not None}
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(read, key=lambda name: (not name.endswith("/Chart.yaml"), name)):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(read[name]), epoch, 0o644
            archive.addfile(member, io.BytesIO(read[name]))
    return target
