"""The images, each as an archive with its digest and its bill of materials."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from release import buildah
from release.errors import ReleaseError

FLAVOURS: dict[str, tuple[str, tuple[str, ...]]] = {
    "operator": ("operator", ()),
    "fetcher": ("fetcher", ()),
    "converter": ("converter", ()),
    "teacher": ("teacher", ()),
    "teacher-tpu": ("teacher", ("--build-arg", "LOCK=teacher-tpu")),
    "trainer": ("trainer", ()),
}
"""Folder of the Dockerfile and arguments of its build, by the image's name."""
CHOICES = ("none", "operator", "all")


@dataclass(frozen=True)
class Image:
    """An image that was written as an archive."""

    name: str
    digest: str
    """``sha256:`` and 64 hexadecimal digits: of its manifest, as a registry has it."""


def chosen(wanted: str | None) -> tuple[str, ...]:
    """The images for one of ``CHOICES``; without a choice the operator's, where there is a buildah."""
    if wanted is None:
        wanted = "operator" if shutil.which("buildah") else "none"
    return {"none": (), "operator": ("operator",), "all": tuple(FLAVOURS)}[wanted]


def prepare(base: str) -> None:
    """Have buildah and the base image ready. Raises ReleaseError with the words of what failed."""
    try:
        buildah.prepare(base)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        raise ReleaseError(f"the base of the images could not be made: {error}") from error


def build(name: str, version: str, commit: str, source: Path, base: str, target: Path) -> Image:
    """Build an image of a source tree, and write NAME-VERSION.oci.tar and NAME-VERSION.cdx.json into ``target``.

    Raises ReleaseError with buildah's words.
    """
    folder, arguments = FLAVOURS[name]
    labels = ("--build-arg", f"VERSION={version}", "--build-arg", f"REVISION={commit}")
    reference = f"docker.io/distillation-operator/{name}:{version}"
    try:
        buildah.build(folder, *arguments, *labels, base=base, source=source, reference=reference)
        try:
            return export(reference, name, version, target)
        finally:
            buildah.remove(reference)
    except RuntimeError as error:
        raise ReleaseError(f"the image {name} could not be built: {error}") from error


def export(reference: str, name: str, version: str, target: Path) -> Image:
    """Write archive and bill of materials of an image that was built into the folder ``target``."""
    digest = buildah.publishable(reference, target / f"{name}-{version}.oci.tar", version)
    (target / f"{name}-{version}.cdx.json").write_text(buildah.read(reference, "/app/sbom.cdx.json"))
    return Image(name, digest)
