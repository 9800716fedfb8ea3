"""No row that was held out for a test is trained on because its file's name follows another rule than the others'."""

import uuid
from collections.abc import Iterable
from pathlib import Path

import pytest

from distillation_api.contract import PrepareProgram, Source, StageResult
from distillation_stages.programs.prepare import run
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import rows_in, spec_of, write_lines


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


def prepare(storage: Storage, names: Iterable[str], split: str | None) -> StageResult:
    """Of a folder in which each file asks for its own name."""
    for name in names:
        write_lines(storage.mount / "set" / name, [{"question": name, "answer": "Yes."}])
    source = Source(path="set", split=split)
    program = PrepareProgram(source=source, holdout=0, prompt_column="question", response_column="answer")
    return run(spec_of(program, uuid.uuid4().hex), storage)


def files_read(storage: Storage, result: StageResult) -> list[str]:
    return sorted(row["prompt"][-1]["content"] for row in rows_in(storage, result.outputs["train"]))


@pytest.mark.parametrize(
    ("train", "held_out", "split"),
    [
        ("train/a.jsonl", "test.jsonl", "test"),
        ("train.jsonl", "test/a.jsonl", "test"),
        ("data/train-00000-of-00001.jsonl", "data/test.jsonl", "test"),
        ("data/train-00000-of-00001-0a1b2c.jsonl", "data/dev/a.jsonl", "validation"),
        ("Train.jsonl", "Test.jsonl", "test"),
        ("TRAIN/a.jsonl", "EVAL/a.jsonl", "test"),
        ("train.jsonl", "Validation.jsonl", "validation"),
        ("train.jsonl", "heldout.jsonl", "holdout"),
        ("train.jsonl", "held-out.jsonl", "holdout"),
        ("rows.jsonl", "hold_out/a.jsonl", "holdout"),
        ("trainset.jsonl", "testset.jsonl", "test"),
        ("train_data/train.jsonl", "train_data/test.jsonl", "test"),
        ("train/a.jsonl", "train/val-00000-of-00001.jsonl", "validation"),
    ],
)
def test_a_held_out_file_is_never_read_with_the_others_unasked(
    storage: Storage, train: str, held_out: str, split: str
) -> None:
    with pytest.raises(StageError) as caught:
        prepare(storage, [train, held_out], None)
    assert caught.value.reason.name == "SeveralSplits"
    assert f"{split} (1 file" in caught.value.message and "dataset.source.split" in caught.value.message
    assert held_out in caught.value.message
    assert files_read(storage, prepare(storage, [], split)) == [held_out]
    assert files_read(storage, prepare(storage, [], "all")) == sorted([train, held_out])
    if train != "rows.jsonl":
        assert files_read(storage, prepare(storage, [], "train")) == [train]


@pytest.mark.parametrize(
    "names",
    [
        ["en/a.jsonl", "de/a.jsonl", "en/b.jsonl"],
        ["Latest.jsonl", "contest.jsonl", "developers.jsonl"],
        ["train/biology.jsonl", "train/test-taking.jsonl", "train/00001.jsonl"],
        ["train/a.jsonl", "more.jsonl"],
        ["Test/a.jsonl", "Test/b.jsonl"],
        ["train/en/a.jsonl", "train/de/a.jsonl"],
        ["train_eval.jsonl"],
        ["household.jsonl", "outlines.jsonl"],
    ],
)
def test_names_that_tell_of_one_split_are_read_whole(storage: Storage, names: list[str]) -> None:
    assert files_read(storage, prepare(storage, names, None)) == sorted(names)


@pytest.mark.parametrize(
    ("names", "split", "chosen", "skipped"),
    [
        (["train/a.jsonl", "train.jsonl"], "train", ["train/a.jsonl"], 1),
        (["en/train.jsonl", "de/train.jsonl", "en/test.jsonl"], "train", ["de/train.jsonl", "en/train.jsonl"], 0),
        (["eval/dev.jsonl", "eval/test.jsonl"], "test", ["eval/dev.jsonl", "eval/test.jsonl"], 0),
        (["Train.jsonl", "Test.jsonl", "more.jsonl"], "train", ["Train.jsonl"], 1),
    ],
)
def test_a_chosen_split_is_the_one_that_the_hub_would_read(
    storage: Storage, names: list[str], split: str, chosen: list[str], skipped: int
) -> None:
    result = prepare(storage, names, split)
    assert files_read(storage, result) == chosen
    assert result.counts.get("skippedFiles", 0) == skipped
