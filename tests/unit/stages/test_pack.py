"""What a stage pack-NAME lays out: the rows of all epochs as their steps read them, counted, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from distillation_api.contract import PackProgram, TrainData
from distillation_stages.data.packing import SequenceFiles
from distillation_stages.data.tables import PREPARED, write_table
from distillation_stages.programs.pack import lay_out, order
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.letter_tokenizer import LetterTokenizer
from unit.stages.stage_inputs import finish, prompt_of


def storage_with(folder: Path, answers: list[str | None]) -> Storage:
    """A prepared dataset: each row asks for its number."""
    rows = [{"row": row, "prompt": prompt_of(f"{row}"), "reference": text} for row, text in enumerate(answers)]
    write_table(folder / "prepare/train/part-00000.parquet", PREPARED, rows)
    storage = Storage(folder)
    finish(storage, "prepare", train="prepare/train")
    return storage


def pack_program(**changes: Any) -> PackProgram:
    program = PackProgram(
        student="student",
        data=TrainData(kind="OriginalDataset", dataset="prepare"),
        max_target_length=16,
        packing=False,
        sequences_per_step=2,
    )
    return program.model_copy(update=changes)


def laid_out(folder: Path, answers: list[str | None], **changes: Any) -> tuple[dict[str, int], list[str]]:
    """The counts, and each sequence's letters."""
    found = lay_out("pack-one", pack_program(**changes), storage_with(folder, answers), LetterTokenizer(), folder / "s")
    files = SequenceFiles(folder / "s")
    return found.counts, [text_of(files[index]) for index in range(found.manifest.sequences)]


def text_of(sequence: dict[str, Any]) -> str:
    letters = zip(sequence["tokens"].tolist(), sequence["segments"].tolist(), strict=True)
    return LetterTokenizer().decode([token for token, segment in letters if segment])


def text(row: int, answer: str = "yes") -> str:
    return f"<u:{row}>a:{answer}>"


def test_each_epoch_has_every_row_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    counts, texts = laid_out(tmp_path, ["yes"] * 8, epochs=2)
    assert (counts["rows"], counts["answers"], counts["sequences"], counts["steps"]) == (8, 8, 16, 8)
    assert sorted(texts[:8]) == sorted(texts[8:]) == [text(row) for row in range(8)]
    assert texts[:8] != texts[8:]
    assert texts[:8] == [text(row) for row in order(8, 0)], "the same on every machine"


def test_only_what_the_steps_read_is_laid_out(tmp_path: Path) -> None:
    counts, texts = laid_out(tmp_path, ["yes"] * 8, epochs=100, steps=6)
    assert (counts["steps"], counts["sequences"], len(texts)) == (6, 12, 12)


def test_without_steps_they_follow_from_the_rows_and_a_rest_is_not_read(tmp_path: Path) -> None:
    counts, _ = laid_out(tmp_path, ["yes"] * 7)
    assert (counts["steps"], counts["sequences"]) == (3, 7)


def test_packed_rows_share_sequences_and_each_is_there_once(tmp_path: Path) -> None:
    counts, texts = laid_out(tmp_path, ["yes"] * 8, packing=True, max_target_length=24)
    assert (counts["sequences"], counts["steps"]) == (4, 2)
    assert sorted("".join(texts).split("<")[1:]) == sorted(text(row)[1:] for row in range(8))
    assert counts["tokens"] == 8 * len(text(0))
    assert counts["trainedTokens"] == 8 * len("yes>")


def test_rows_that_teach_nothing_take_no_place(tmp_path: Path) -> None:
    """M3: their prompt fills the length. A step of such rows alone would have no loss."""
    counts, texts = laid_out(tmp_path, ["yes", None, "y" * 40, "yes"], max_target_length=8)
    assert sorted(texts) == [text(0)[:8], text(2, "yyy")[:8], text(3)[:8]]
    assert (counts["rows"], counts["promptTooLong"], counts["answerCut"]) == (3, 0, 3)
    counts, texts = laid_out(tmp_path / "more", ["yes"] * 12, max_target_length=8)
    # Of rows 10 and 11 the prompt has a letter more.
    assert (counts["rows"], counts["promptTooLong"], len(texts)) == (10, 2, 10)


def test_nothing_but_prompts_that_fill_the_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="maxTargetLength=4") as caught:
        laid_out(tmp_path, ["yes"] * 4, max_target_length=4)
    assert caught.value.reason.name == "NoTrainableTokens"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"steps": 5},
            "5 steps of 2 sequences read 10, but 8 rows of OriginalDataset make 8 (each row read at most 1 times); "
            "lower steps to 4 or set epochs to 2",
            id="steps",
        ),
        pytest.param(
            {"steps": 40, "epochs": 3},
            "40 steps of 2 sequences read 80, but 8 rows of OriginalDataset make 24 (each row read at most 3 times); "
            "lower steps to 12 or set epochs to 10",
            id="steps of epochs",
        ),
        pytest.param(
            {"packing": True, "max_target_length": 100, "sequences_per_step": 4},
            "one step reads 4 sequences (perDeviceBatchSize on all devices, times gradientAccumulationSteps), but 8 "
            "rows of OriginalDataset make 1 (packed, each row read at most 1 times); lower the batch size, set epochs "
            "to 4 or give more rows",
            id="packed into too few",
        ),
    ],
)
def test_too_few_rows_are_told_before_an_accelerator_is_asked_for(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(StageError) as caught:
        laid_out(tmp_path, ["yes"] * 8, **changes)
    assert (caught.value.reason.name, caught.value.message) == ("TooFewRows", message)


def test_progress_is_told_in_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    laid_out(tmp_path, ["yes"] * 8)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (lines[-1]["done"], lines[-1]["total"], lines[-1]["unit"]) == (8, 8, "rows")


@pytest.mark.parametrize("packing", [True, False])
def test_a_preview_reads_its_few_rows_as_often_as_the_steps_need(tmp_path: Path, packing: bool) -> None:
    counts, texts = laid_out(
        tmp_path, ["yes"] * 8, first_rows=3, steps=10, packing=packing, max_target_length=24, sequences_per_step=4
    )
    assert (counts["steps"], counts["sequences"], counts["rows"]) == (10, 40, 3)
    rows = [f"<{one}" for one in "".join(texts).split("<")[1:]]
    assert set(rows) == {text(row) for row in range(3)}
    assert counts["rowsRead"] == len(rows)


def test_a_preview_of_rows_that_teach_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError):
        laid_out(tmp_path, [None, None], first_rows=2, steps=3)
    with pytest.raises(StageError):
        laid_out(tmp_path / "more", ["yes"] * 4, first_rows=2, steps=3, max_target_length=4)
