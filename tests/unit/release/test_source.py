"""A release is what a commit has, whatever the checkout's modes and times are."""

import os
import subprocess
from pathlib import Path

import pytest

from release import source
from release.errors import ReleaseError

EPOCH = 1_700_000_000


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    times = {"GIT_COMMITTER_DATE": f"{EPOCH} +0000", "GIT_AUTHOR_DATE": f"{EPOCH} +0000"}
    subprocess.run(["git", *identity, *arguments], cwd=folder, env=os.environ | times, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of one commit, in a folder with a space in its name."""
    folder = tmp_path / "a checkout"
    (folder / "docs").mkdir(parents=True)
    (folder / ".gitignore").write_text("build/\n")
    (folder / "docs" / "größe.md").write_text("text\n")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o775)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "one")
    (folder / "build").mkdir()
    (folder / "build" / "left").write_text("over")
    return folder


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    read = source.read(checkout)
    assert len(read.commit) == 40 and read.epoch == EPOCH and read.changes == ()
    source.require_clean(read)


def test_changes_and_files_that_git_doesnt_know_are_refused_by_name(checkout: Path) -> None:
    (checkout / "run").write_text("other")
    (checkout / "new").write_text("")
    with pytest.raises(ReleaseError, match=r"in no commit \(run, new\): commit them"):
        source.require_clean(source.read(checkout))
    for number in range(5):
        (checkout / f"more-{number}").write_text("")
    with pytest.raises(ReleaseError, match=r"and 2 more\)"):
        source.require_clean(source.read(checkout))


def test_files_that_git_doesnt_know_are_refused_where_it_is_set_to_keep_quiet_about_them(checkout: Path) -> None:
    git(checkout, "config", "status.showUntrackedFiles", "no")
    (checkout / "folder").mkdir()
    (checkout / "folder" / "new").write_text("")
    with pytest.raises(ReleaseError, match=r"in no commit \(folder/new\): commit them"):
        source.require_clean(source.read(checkout))


def test_what_is_exported_has_the_commits_time_and_one_of_two_modes(checkout: Path, tmp_path: Path) -> None:
    (checkout / "docs" / "größe.md").chmod(0o600)
    source.export(checkout, EPOCH, tmp_path / "out")
    found = {str(path.relative_to(tmp_path / "out")): path.stat() for path in (tmp_path / "out").rglob("*.*")}
    assert set(found) == {".gitignore", "docs/größe.md"}
    assert {stat.st_mode & 0o777 for stat in found.values()} == {0o644}
    assert {stat.st_mtime for stat in found.values()} == {EPOCH}
    assert (tmp_path / "out" / "run").stat().st_mode & 0o777 == 0o755
    assert not (tmp_path / "out" / "build").exists()


def test_a_file_removed_and_not_committed_is_left_out(checkout: Path, tmp_path: Path) -> None:
    (checkout / "run").unlink()
    source.export(checkout, EPOCH, tmp_path / "out")
    assert not (tmp_path / "out" / "run").exists()


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ReleaseError, match=r"a release is made of a commit: .*not a git repository"):
        source.read(tmp_path)
