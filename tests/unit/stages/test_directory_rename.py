"""How the storage renames directories is found by trying it, and is never a failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from distillation_stages.runtime.directory_rename import directory_rename

FLAT_BUCKET = Path(__file__).resolve().parents[2] / "support" / "flat_bucket"
TRIED = """
import sys
from pathlib import Path
from distillation_stages.runtime.directory_rename import directory_rename
print(directory_rename(Path(sys.argv[1])))
"""


def test_a_file_system_renames_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    assert directory_rename(tmp_path) == "AtOnce"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("rename", "told"), [("file by file", "FileByFile"), ("refused", "Refused")])
def test_a_bucket_without_directories_is_known_by_its_time_or_its_refusal(
    tmp_path: Path, rename: str, told: str
) -> None:
    path = os.pathsep.join([str(FLAT_BUCKET), *sys.path])
    variables = {"PYTHONPATH": path, "STORAGE_MOUNT": str(tmp_path), "DIRECTORY_RENAME": rename}
    done = subprocess.run(
        [sys.executable, "-c", TRIED, str(tmp_path)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [told], done.stderr
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_it_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert directory_rename(tmp_path / "file") is None
