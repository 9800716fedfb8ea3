"""Where processes write on the side, and that nothing of it stays."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import fake_stage
from support.eventually import eventually
from support.local_place import Place

LONGEST = 107 - 40
"""Bytes of a scratch folder's path: the system's limit for a socket's, without what libraries add."""


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        yield Path(folder)


def scratch_of(place: Place, stage: str) -> Path:
    return Path(json.loads((place.storage / fake_stage.FOLDER / f"{stage}.json").read_text())["SCRATCH"])


def killed(place: Place, folder: Path) -> Path:
    """The scratch folder, in the given one, of a `local` that was killed while a stage ran."""
    place.ends("fetch-teacher", "environment and hang")
    process = place.begin(TMPDIR=str(folder))
    eventually("the stage runs", lambda: place.starts("fetch-teacher"), pause=0.05)
    process.kill()
    process.communicate(timeout=60)
    scratch = scratch_of(place, "fetch-teacher").parent
    assert scratch.exists()
    return scratch


def test_what_a_killed_local_leaves_in_a_folder_of_the_system_goes_with_the_next_start(
    place: Place, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = killed(place, short)
    assert scratch.parent == short
    monkeypatch.delenv("TMPDIR", raising=False)
    assert place.local() == 0
    assert list(short.iterdir()) == []


def test_the_scratch_folder_of_another_jobs_folder_stays(place: Place, short: Path) -> None:
    """A copy of a job's folder names that of the one that it is a copy of, which may run."""
    scratch = killed(place, short)
    other = Place(place.root / "other")
    shutil.copytree(place.folder.path, other.folder.path)
    other.folder.status_file.unlink()
    assert other.local() == 0
    assert scratch.exists()
    assert place.local() == 0
    assert not scratch.exists()


def test_a_path_too_long_for_sockets_is_not_used_though_asked_for(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 20)
    monkeypatch.setenv("TMPDIR", str(long))
    place.ends("fetch-teacher", "environment")
    assert place.local() == 0
    scratch = scratch_of(place, "fetch-teacher")
    assert len(os.fsencode(scratch)) <= LONGEST
    assert scratch.is_relative_to("/var/tmp")
    assert not scratch.parent.exists()
    assert not long.exists()
