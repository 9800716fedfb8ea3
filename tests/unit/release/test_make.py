"""What can't become a release is refused before anything is built, with what to do about it."""

import os
import subprocess
from pathlib import Path

import pytest

from release.__main__ import main
from release.errors import ReleaseError
from release.images import FLAVOURS, chosen
from release.make import Wanted, release
from release.version import SOURCE

CHECKOUT = Path(__file__).resolve().parents[3]


def commit(folder: Path) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    for arguments in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "m")):
        subprocess.run(["git", *identity, *arguments], cwd=folder, env=os.environ, check=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small repository of version 1.2.3, with nothing in its changelog."""
    folder = tmp_path / "checkout"
    for name, text in (
        (SOURCE, '__version__ = "1.2.3"\n'),
        (Path("CHANGELOG.md"), "# Changelog\n\n## Unreleased\n"),
        (Path("images/README.md"), "buildah build --build-arg VERSION=1.2.3\n"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    commit(folder)
    return folder


def refused(checkout: Path, wanted: Wanted) -> str:
    with pytest.raises(ReleaseError) as error:
        release(checkout, wanted)
    assert not wanted.output.exists()
    return str(error.value)


def test_uncommitted_changes(checkout: Path, tmp_path: Path) -> None:
    (checkout / "left").write_text("")
    assert refused(checkout, Wanted(tmp_path / "out")).startswith(
        "the checkout has changes that are in no commit (left)"
    )


def test_a_version_that_the_changelog_doesnt_have(checkout: Path, tmp_path: Path) -> None:
    told = refused(checkout, Wanted(tmp_path / "out"))
    assert told.startswith("CHANGELOG.md has no section for 1.2.3: make its heading `## Unreleased` `## 1.2.3 - YYYY-")


def test_a_place_with_another_version(checkout: Path, tmp_path: Path) -> None:
    (checkout / "images" / "README.md").write_text("buildah build --build-arg VERSION=1.2.2\n")
    told = refused(checkout, Wanted(tmp_path / "out", dry_run=True))
    assert told == (
        "the version is 1.2.3, but not in images/README.md (1.2.2): write it everywhere by `make version VERSION=1.2.3`"
    )


def test_no_version_at_all(checkout: Path, tmp_path: Path) -> None:
    (checkout / SOURCE).write_text("")
    told = refused(checkout, Wanted(tmp_path / "out", dry_run=True))
    assert told == f'{SOURCE} must have one line __version__ = "x.y.z"; it has 0'


def test_a_base_image_by_tag(checkout: Path, tmp_path: Path) -> None:
    told = refused(checkout, Wanted(tmp_path / "out", base="docker.io/library/python:3.12-slim", dry_run=True))
    assert told.startswith("--base is 'docker.io/library/python:3.12-slim'; name it by digest")


@pytest.mark.parametrize("url", ["http://example.com/a.git", "https://user:secret@example.com/a.git", "git@a:b.git"])
def test_a_repository_with_a_user_or_without_tls(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--dry-run", "--repository", url])
    assert "--repository: " in capsys.readouterr().err


def test_images_are_the_operators_where_buildah_is_or_what_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert chosen(None) == ()
    (tmp_path / "buildah").write_text("")
    (tmp_path / "buildah").chmod(0o755)
    assert chosen(None) == ("operator",)
    assert (chosen("none"), chosen("operator"), chosen("all")) == ((), ("operator",), tuple(FLAVOURS))


def test_all_images_are_all_that_there_are() -> None:
    folders = {path.parent.name for path in (CHECKOUT / "images").glob("*/Dockerfile")}
    assert {folder for folder, _ in FLAVOURS.values()} == folders
