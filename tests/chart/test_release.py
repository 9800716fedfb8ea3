"""A release without images, made twice of this checkout: whole, the same bytes, nothing of this machine."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

from distillation_operator import __version__
from release.__main__ import main
from support.helm import BUILT, Helm
from testbed.layout import CHECKOUT

CHART = f"distillation-operator-{__version__}.tgz"
WHEEL = f"distillation_operator-{__version__}-py3-none-any.whl"
SDIST = f"distillation_operator-{__version__}.tar.gz"


@pytest.fixture(scope="module")
def made(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the version; its parent has a space in its name."""
    helm("version")
    return dry_run(tmp_path_factory.mktemp("a release"))


def dry_run(output: Path) -> Path:
    assert main(["--dry-run", "--images", "none", "--output", str(output)]) == 0
    assert [path.name for path in output.iterdir()] == [__version__], "nothing else is left"
    return output / __version__


def test_it_has_all_parts_and_their_checksums(made: Path) -> None:
    parts = {WHEEL, SDIST, CHART, "RELEASE_NOTES.md", "provenance.json"}
    assert {path.name for path in made.iterdir()} == {*parts, "SHA256SUMS"}
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=made, check=True)
    assert len((made / "SHA256SUMS").read_text().splitlines()) == len(parts)


def test_made_again_it_has_the_same_bytes(made: Path, tmp_path: Path) -> None:
    """With other times and permissions of files, in another folder."""
    before = os.umask(0o077)
    try:
        again = dry_run(tmp_path)
    finally:
        os.umask(before)
    assert (again / "SHA256SUMS").read_text() == (made / "SHA256SUMS").read_text()


def test_the_wheel_installs_the_command(made: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(made / WHEEL) as wheel:
        wheel.extractall(tmp_path)
        names = wheel.namelist()
    [metadata] = [name for name in names if name.endswith("/METADATA")]
    told = Parser().parsestr((tmp_path / metadata).read_text())
    assert (told["Name"], told["Version"]) == ("distillation-operator", __version__)
    assert {name.split("/")[0] for name in names} == {
        "distillation_api", "distillation_operator", "distillation_stages", metadata.split("/")[0],
    }  # fmt: skip
    command = [sys.executable, "-m", "distillation_operator", "--version"]
    done = subprocess.run(command, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert done.stdout == f"distillation-operator {__version__}\n"


def test_the_sdist_is_the_source(made: Path) -> None:
    with tarfile.open(made / SDIST) as archive:
        root = f"distillation_operator-{__version__}"
        for path in ("pyproject.toml", "Makefile", "LICENSE", "operator/distillation_operator/cli.py"):
            member = archive.extractfile(f"{root}/{path}")
            assert member is not None and member.read() == (CHECKOUT / path).read_bytes()
        assert not [name for name in archive.getnames() if re.search(r"/(build|\.git|__pycache__)(/|$)", name)]


def test_the_charts_archive_is_the_chart(made: Path, helm: Helm) -> None:
    assert (
        helm("show", "readme", str(made / CHART)).stdout.strip()
        == (CHECKOUT / "charts" / "distillation-operator" / "README.md").read_text().strip()
    )
    told = yaml.safe_load(helm("show", "chart", str(made / CHART)).stdout)
    assert (told["version"], told["appVersion"]) == (__version__, __version__)
    assert yaml.safe_load(told["annotations"]["artifacthub.io/crds"])[0]["kind"] == "DistillationJob"
    template = ("template", "d", "--kube-version", "1.34.4", *BUILT)
    packed, folder = (
        helm(*template, str(chart)) for chart in (made / CHART, CHECKOUT / "charts" / "distillation-operator")
    )
    assert packed.returncode == 0, packed.stderr
    assert packed.stdout == folder.stdout


def test_the_provenance_names_each_artefact_and_the_commit(made: Path) -> None:
    told = json.loads((made / "provenance.json").read_text())
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in told["subject"]}
    assert subjects == {name: hashlib.sha256((made / name).read_bytes()).hexdigest() for name in (WHEEL, SDIST, CHART)}
    [source] = told["predicate"]["buildDefinition"]["resolvedDependencies"]
    command = ["git", "rev-parse", "HEAD"]
    head = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.strip()
    assert source["digest"] == {"gitCommit": head}


def test_nothing_of_this_machine_is_in_it(made: Path) -> None:
    telling = [str(CHECKOUT), str(made), tempfile.gettempdir() + "/", str(Path.home()) + "/"]
    for name in ("provenance.json", "RELEASE_NOTES.md", "SHA256SUMS"):
        text = (made / name).read_text()
        assert not [path for path in telling if path in text], name
    with zipfile.ZipFile(made / WHEEL) as wheel:
        metadata = b"".join(wheel.read(name) for name in wheel.namelist() if ".dist-info/" in name).decode()
    assert not [path for path in telling if path in metadata]


def test_the_notes_are_the_changelogs(made: Path) -> None:
    notes = (made / "RELEASE_NOTES.md").read_text()
    assert notes.strip() in (CHECKOUT / "CHANGELOG.md").read_text()
    assert len(notes) > 100
