"""A dataset that lacks a part, or beside which its library has left files, is never read as if it were whole."""

import gzip
import io
import json
import uuid
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from distillation_api.contract import PrepareProgram, Source, StageResult
from distillation_stages.data.folder import Folder, folder_dataset
from distillation_stages.programs.prepare import run
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from distillation_stages.services.buckets import DirectoryTree
from unit.stages.stage_inputs import rows_in, spec_of, write_lines

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0a1b\nsize 12345\n"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


def prepare(storage: Storage, path: str = "set", split: str | None = None) -> StageResult:
    source = Source(path=path, split=split)
    program = PrepareProgram(source=source, holdout=0, prompt_column="question", response_column="answer")
    return run(spec_of(program, uuid.uuid4().hex), storage)


def refusal(storage: Storage, path: str = "set", split: str | None = None) -> tuple[str, str]:
    with pytest.raises(StageError) as caught:
        prepare(storage, path, split)
    return caught.value.reason.name, caught.value.message


def questions(storage: Storage, result: StageResult) -> list[str]:
    return [row["prompt"][-1]["content"] for row in rows_in(storage, result.outputs["train"])]


def write(storage: Storage, names: Sequence[str]) -> None:
    """Files of a folder, each of which asks for its own name."""
    for name in names:
        write_lines(storage.mount / "set" / name, [{"question": name, "answer": "Yes."}])


def put(storage: Storage, path: str, content: bytes | str) -> None:
    target = storage.mount / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.encode() if isinstance(content, str) else content)


def arrow(question: str) -> bytes:
    table, sink = pa.table({"question": [question], "answer": ["Yes."]}), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


# What the library datasets leaves in the folders that it has saved.


def test_a_saved_dataset_that_was_worked_on_has_the_rows_that_it_was_saved_with(storage: Storage) -> None:
    """As ``map`` and ``filter`` leave it; ``tests/e2e/test_datasets.py`` has the library itself do so."""
    for name in ("data-00000-of-00001", "cache-0a1b2c3d4e5f6071", "cache-of-questions"):
        put(storage, f"set/{name}.arrow", arrow(name))
    put(storage, "set/dataset_info.json", "{}")
    put(storage, "set/state.json", '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": null}')
    result = prepare(storage)
    assert (result.counts["read"], questions(storage, result)) == (1, ["data-00000-of-00001"])
    assert result.counts["skippedFiles"] == 1, "only what the library computed by itself is known to be no loss"


def test_what_the_library_computes_is_known_by_its_name_where_the_state_is_lost(storage: Storage) -> None:
    put(storage, "set/data-00000-of-00001.arrow", arrow("saved"))
    put(storage, "set/cache-0a1b2c3d4e5f6071.arrow", arrow("computed"))
    put(storage, "set/cache-0a1b2c3d4e5f6071_00001_of_00002.arrow", arrow("computed"))
    put(storage, "set/tmpab1_cd2e", b"half written")
    put(storage, "set/cache-of-questions.arrow", arrow("a user's"))
    result = prepare(storage)
    assert questions(storage, result) == ["a user's", "saved"]
    assert "skippedFiles" not in result.counts


def test_a_file_that_a_saved_dataset_does_not_name_is_skipped_and_counted(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    put(storage, "set/train/data-00000-of-00001.arrow", arrow("saved"))
    put(storage, "set/train/mine.arrow", arrow("computed"))
    put(storage, "set/train/state.json", '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    put(storage, "set/dataset_dict.json", '{"splits": ["train"]}')
    result = prepare(storage)
    assert questions(storage, result) == ["saved"]
    assert result.counts["skippedFiles"] == 1
    assert "train/mine.arrow" in capsys.readouterr().err


def test_a_saved_dataset_that_lacks_a_file_is_refused(storage: Storage) -> None:
    put(storage, "set/data-00000-of-00002.arrow", arrow("saved"))
    names = [{"filename": f"data-0000{number}-of-00002.arrow"} for number in range(2)]
    put(storage, "set/state.json", json.dumps({"_data_files": names}))
    reason, message = refusal(storage)
    assert reason == "IncompleteDataset"
    assert "data-00001-of-00002.arrow" in message and "state.json" in message


@pytest.mark.parametrize("state", ["{}", "[", "[]", '{"_data_files": "x"}', '{"_data_files": [1]}'])
def test_a_state_that_names_no_files_says_nothing(storage: Storage, state: str) -> None:
    put(storage, "set/rows.arrow", arrow("saved"))
    put(storage, "set/state.json", state)
    assert questions(storage, prepare(storage)) == ["saved"]


# Shards.


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["train-00000-of-00003.jsonl", "train-00002-of-00003.jsonl"], "1 of the 3 shards of train: 00001"),
        (["data/train-00001-of-00003-0a1b.jsonl"], "2 of the 3 shards of data/train: 00000, 00002"),
        (["a_00001_of_00002.jsonl", "b_00000_of_00001.jsonl"], "1 of the 2 shards of a: 00000"),
        (["part-00000-of-00002.jsonl", "part-00001-of-00002.jsonl.part"], "1 of the 2 shards of part: 00001"),
        (["en/x-00000-of-00002.jsonl", "de/x-00001-of-00002.jsonl"], "1 of the 2 shards of de/x: 00000"),
        (["x-00000-of-00009.jsonl"], "8 of the 9 shards of x: 00001, 00002, 00003, 00004, 00005 and 3 more"),
    ],
)
def test_a_missing_shard_is_named(storage: Storage, names: list[str], told: str) -> None:
    write(storage, names)
    reason, message = refusal(storage)
    assert reason == "IncompleteDataset"
    assert f"dataset set lacks {told}" in message and "dataset.source.split: all" in message


def test_shards_that_are_left_out_on_purpose_are_read_with_a_warning(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    write(storage, ["train-00000-of-00003.jsonl", "train-00002-of-00003.jsonl"])
    assert len(questions(storage, prepare(storage, split="all"))) == 2
    assert "warning: dataset set lacks 1 of the 3 shards of train: 00001" in capsys.readouterr().err
    assert len(questions(storage, prepare(storage, "set/train-00002-of-00003.jsonl"))) == 1


@pytest.mark.parametrize(
    "names",
    [
        ["data/train-00000-of-00002-0a1b.jsonl", "data/train-00001-of-00002-2c3d.jsonl"],
        ["part-00001-of-00002.jsonl", "part-00002-of-00002.jsonl"],
        ["x-00000-of-00001.jsonl", "x-00000-of-00002.jsonl", "x-00001-of-00002.jsonl"],
        ["en/train-00000-of-00001.jsonl", "de/train-00000-of-00001.jsonl"],
        ["x-00000-of-00001-a.jsonl", "x-00000-of-00001-b.jsonl"],
        ["sample-100-of-500.jsonl"],
    ],
)
def test_shards_that_are_all_there_are_read(storage: Storage, names: list[str]) -> None:
    write(storage, names)
    assert questions(storage, prepare(storage)) == sorted(names)


def test_a_shard_of_another_split_may_be_missing(storage: Storage) -> None:
    write(storage, ["train-00000-of-00001.jsonl", "test-00001-of-00002.jsonl"])
    assert questions(storage, prepare(storage, split="train")) == ["train-00000-of-00001.jsonl"]
    assert refusal(storage, split="test")[0] == "IncompleteDataset"


def test_nothing_of_an_incomplete_dataset_is_copied_from_a_bucket(storage: Storage, tmp_path: Path) -> None:
    write(storage, ["a-00001-of-00002.jsonl"])
    bucket = Folder("gs://bucket/set", DirectoryTree(storage.mount / "set"), tmp_path / "copy", is_remote=True)
    with pytest.raises(StageError, match="lacks 1 of the 2 shards"):
        folder_dataset(bucket, None, None)
    assert not (tmp_path / "copy").exists()


# Names that are about a dataset.


def test_files_of_rows_that_are_not_read_by_their_names_are_counted(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    write(storage, ["b.jsonl", "_train.jsonl", "_old/a.jsonl", "notice.csv", "changelog.json"])
    put(storage, "set/_delta_log/00000000000000000000.json", "{}")
    put(storage, "set/_metadata", "x")
    put(storage, "set/.cache/a.jsonl", "{}")
    result = prepare(storage)
    assert questions(storage, result) == ["b.jsonl"]
    assert result.counts["skippedFiles"] == 4
    assert "_old/a.jsonl, _train.jsonl, changelog.json, notice.csv" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["notice.jsonl", "citation.ndjson", "readme.jsonl.gz"])
def test_lines_of_rows_are_read_whatever_they_are_called(storage: Storage, name: str) -> None:
    write(storage, ["b.jsonl"])
    content = (storage.mount / "set/b.jsonl").read_bytes().replace(b"b.jsonl", b"other")
    if name.endswith(".gz"):
        content = gzip.compress(content)
    put(storage, f"set/{name}", content)
    assert sorted(questions(storage, prepare(storage))) == ["b.jsonl", "other"]


# Git LFS.


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json", "a.parquet", "a.arrow", "a.jsonl.gz"])
def test_a_pointer_in_a_files_place_is_named(storage: Storage, name: str) -> None:
    put(storage, f"set/{name}", POINTER)
    write(storage, ["b.jsonl"] if name not in ("a.csv", "a.json") else [])
    for path in ("set", f"set/{name}"):
        reason, message = refusal(storage, path)
        assert reason == "IncompleteDataset"
        assert f"{name} is a Git LFS pointer, and its 12345 bytes are missing" in message and "git lfs pull" in message


def test_a_row_that_speaks_of_pointers_is_a_row(storage: Storage) -> None:
    put(storage, "set/a.csv", f"answer,question\n{POINTER.decode().splitlines()[0]},What is it?\n")
    assert questions(storage, prepare(storage)) == ["What is it?"]
