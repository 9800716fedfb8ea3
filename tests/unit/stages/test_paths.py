"""A name that others have given to a file names a place inside its folder, or nothing."""

from pathlib import Path

import pytest

from distillation_stages.data.folder import Folder, folder_dataset
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import below
from distillation_stages.services.buckets import DirectoryTree


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../other/x", "a/../../x", "a//b", "", ".", "a/./b", "a/", "..", "a\\..\\b", "a\0b"]
)
def test_a_name_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        below(tmp_path, name)
    assert caught.value.reason.name == "NameOutsideFolder"


@pytest.mark.parametrize("name", ["x", "a/b.jsonl", "...", "a..b", ".hidden/x", "data/train-00000-of-00001.parquet"])
def test_other_names_are_joined(name: str, tmp_path: Path) -> None:
    assert below(tmp_path, name) == tmp_path / name


class Bucket(DirectoryTree):
    """A bucket, as its listing looks to a reader: names are what somebody has called an object."""

    def __init__(self, root: Path, name: str) -> None:
        super().__init__(root)
        self.listed = name

    def sizes(self) -> dict[str, int]:
        return {self.listed: 3}

    def get(self, name: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"messages": []}')


def test_an_object_of_a_datasets_bucket_is_never_written_elsewhere(tmp_path: Path) -> None:
    """Its publisher could have put answers of its own among the teacher's."""
    chunk = tmp_path / "storage" / "generate" / "shard-0" / "chunk-00000.jsonl"
    chunk.parent.mkdir(parents=True)
    chunk.write_text("ours")
    folder = Folder("gs://public/data", Bucket(tmp_path, str(chunk)), tmp_path / "scratch", is_remote=True)
    with pytest.raises(StageError):
        folder_dataset(folder, None, None)
    assert chunk.read_text() == "ours"
