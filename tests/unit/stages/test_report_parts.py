"""What a report is made of: curves, scales, differences between answers, names and numbers."""

from pathlib import Path
from typing import Any

import pytest

from distillation_api.contract import HeldOutPoint, ReportedStage, StageFigures, StageResult, StartUp
from distillation_stages.data.stage_facts import StageFacts, read_history
from distillation_stages.programs.evaluate import formats
from distillation_stages.programs.evaluate.axes import Scale, loss_scale, shared, tick_text
from distillation_stages.programs.evaluate.curves import POINTS, curve_of
from distillation_stages.programs.evaluate.differences import MOST_WORDS, difference
from distillation_stages.programs.evaluate.facts import job_identity, score_names, source_name, tokens_of, versions_of
from distillation_stages.runtime.start_up_record import write_start_up
from distillation_stages.runtime.storage import Storage


def test_long_curves_are_thinned_and_keep_both_ends() -> None:
    curve = curve_of([{"step": step, "loss": 1 / step} for step in range(1, 10_001)])
    assert len(curve.steps) == len(curve.loss) == POINTS
    assert (curve.steps[0], curve.steps[-1]) == (1, 10_000)


def test_of_a_history_only_steps_with_a_loss_are_drawn() -> None:
    broken: list[dict[str, Any]] = [
        {"step": "x", "loss": 1.0},
        {"step": 2},
        {"step": 3, "loss": "high"},
        {"step": True, "loss": 1.0},
    ]
    history = [*broken, {"step": 4, "loss": float("nan")}, {"step": 5, "loss": 10**400}, {"step": 6, "loss": 1}]
    curve = curve_of(history, (3.0, 2.0))
    assert (curve.steps, curve.loss, curve.kl_to_teacher) == ([6], [1.0], [])
    assert curve.held_out == [HeldOutPoint(step=0, cross_entropy=3.0), HeldOutPoint(step=6, cross_entropy=2.0)]


def test_a_scale_of_losses_shows_the_end_and_not_the_first_fall() -> None:
    losses = [100.0, 50.0, *(3.0 - step / 100 for step in range(98))]
    scale = loss_scale(losses)
    assert not scale.shows(100.0)
    assert all(scale.shows(loss) for loss in losses[10:])
    few = loss_scale([9.0, 6.0, 5.0])
    assert few.shows(9.0), "of few steps all are shown"


def test_stages_share_a_scale_unless_one_would_be_flat() -> None:
    near = shared([Scale(2.0, 4.0), Scale(1.0, 3.0)])
    assert near == [Scale(1.0, 4.0)] * 2
    far = [Scale(2.0, 4.0), Scale(100.0, 300.0)]
    assert shared(far) == far


@pytest.mark.parametrize("values", [[], [0.0], [-1.0, 1.0], [1e-9, 2e-9], [5.0, 5.0], [1e12, 3e12], [1e308, -1e308]])
def test_every_scale_has_ticks_that_it_shows(values: list[float]) -> None:
    scale = Scale.around(values)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 8
    assert all(scale.shows(tick) for tick in ticks)
    assert len({tick_text(tick, ticks) for tick in ticks}) == len(ticks)


def test_differences_are_told_word_by_word_and_keep_the_text() -> None:
    found = difference("a b  c d", " a x  c\ne")
    assert "".join(piece.text for piece in found.pieces) == " a x  c\ne"
    assert [piece.text.strip() for piece in found.pieces if piece.differs] == ["x", "e"]
    assert (found.common, found.words) == (2, 4)


def test_characters_of_languages_without_spaces_are_compared_one_by_one() -> None:
    found = difference("首都は東京です", "首都は京都です")
    assert found.common == 6


@pytest.mark.parametrize(("reference", "text"), [("", ""), ("a", ""), ("", "a"), (" ", "\n")])
def test_an_empty_answer_differs_in_nothing_or_all(reference: str, text: str) -> None:
    assert "".join(piece.text for piece in difference(reference, text).pieces) == text


def test_of_a_long_answer_the_end_is_not_compared() -> None:
    text = "the " * (MOST_WORDS + 100)
    found = difference("", text)
    assert "".join(piece.text for piece in found.pieces) == text
    assert not found.pieces[-1].differs
    assert found.words == MOST_WORDS


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (3600, "1 h 0 min"), (90, "1 min 30 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.426e6, "1.43 million"), (272_584_713, "272,584,713"), (0.0, "0"), (2.5, "2.5"), (0.00012, "0.00012"),
     (123.456, "123"), (float("nan"), "\u2013"), (None, "\u2013"), (7.2e304, "7.20e+304")],
)  # fmt: skip
def test_numbers(value: float | None, text: str) -> None:
    assert formats.number(value) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [("learningRate", "learning rate"), ("TooLong", "too long"), ("top1Agreement", "top-1 agreement"), ("jax", "jax"),
     ("google-tunix", "google-tunix")],
)  # fmt: skip
def test_words(name: str, text: str) -> None:
    assert formats.words(name) == text


def test_the_student_after_all_bears_the_name_of_the_last_training() -> None:
    assert score_names(["before", "a", "after"], ["a", "b"]) == {"before": "before", "a": "a", "after": "b"}
    assert score_names(["before", "after"], []) == {"before": "before", "after": "after"}


@pytest.mark.parametrize("text", ["", "name", "/name", "namespace/", "/"])
def test_a_run_by_hand_is_no_jobs(text: str) -> None:
    assert job_identity(text) is None


def test_sources_of_any_kind_have_a_name() -> None:
    spec = {
        "teacher": {"source": {"huggingFace": {"repo": "org/big"}}},
        "student": {"source": {"gcs": {"uri": "gs://bucket/small"}}},
        "dataset": "broken",
    }
    names = [source_name(spec, role) for role in ("teacher", "student", "dataset", "other")]
    assert names == ["org/big", "gs://bucket/small", "", ""]


def test_versions_that_differ_are_told_by_stage() -> None:
    stages = [
        StageFigures(name="fetch-teacher", versions={"revision": "abc"}),
        StageFigures(name="train-a", versions={"jax": "1", "maxtext": "2"}),
        StageFigures(name="train-b", versions={"jax": "1", "maxtext": "3"}),
    ]
    assert versions_of(stages) == {
        "jax": "1",
        "maxtext (train-a)": "2",
        "maxtext (train-b)": "3",
        "revision (fetch-teacher)": "abc",
    }


def test_tokens_are_those_of_answers_and_of_what_trainings_read() -> None:
    stages = [
        StageFacts("prepare-dataset", counts={"read": 9}),
        StageFacts("generate", counts={"promptTokens": 5, "completionTokens": 7}),
        StageFacts("pack-my-pack-data", counts={"tokens": 11, "trainedTokens": 3}),
        StageFacts("train-my-pack-data", counts={"steps": 2}),
    ]
    assert tokens_of(stages) == {"generate": 12, "train-my-pack-data": 11}


def test_a_stage_with_shards_is_read_as_one(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    for shard, seconds in enumerate((1800.0, 3600.0)):
        result = StageResult(stage="generate", fingerprint="f", counts={"kept": 5 + shard}, seconds=seconds)
        storage.write_marker(f"generate/shard-{shard}", result)
    outputs = ["generate/shard-0", "generate/shard-1"]
    stage = StageFacts.read(ReportedStage(name="generate", outputs=outputs, chips=16), storage)
    assert (stage.counts, stage.seconds, stage.chip_hours) == ({"kept": 11}, 3600.0, 8 * 1.5)


def test_the_chips_that_waited_for_starts_are_counted(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    for shard, compiling in enumerate((60.0, 240.0)):
        directory = f"generate/shard-{shard}"
        write_start_up(storage.at(directory), StartUp(imports=20, weights=40, compile=compiling))
        storage.write_marker(directory, StageResult(stage="generate", fingerprint="f", seconds=3600))
    outputs = ["generate/shard-0", "generate/shard-1"]
    stage = StageFacts.read(ReportedStage(name="generate", outputs=outputs, chips=16), storage)
    assert stage.idle_chip_hours == pytest.approx(8 * (120 + 300) / 3600)


def test_a_record_of_a_start_that_is_something_else_is_left_out(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.write_marker("train", StageResult(stage="train", fingerprint="f", seconds=10))
    for content in ("[]", '{"imports": -1}', '{"imports": 1e300}', "x" * 10_000):
        storage.at("train/_START_UP.json").write_text(content)
        assert StageFacts.read(ReportedStage(name="train", outputs=["train"], chips=1), storage).start is None


def test_a_stage_without_a_marker_has_nothing_to_show(tmp_path: Path) -> None:
    stage = StageFacts.read(ReportedStage(name="export", outputs=["export"], chips=0), Storage(tmp_path))
    assert stage == StageFacts("export")


def test_history_is_read_around_broken_lines(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo\n[]\n{"step": 3}\n')
    assert read_history(tmp_path / "history.jsonl") == [{"step": 1, "loss": 2.0}, {"step": 3}]
    assert read_history(tmp_path / "none.jsonl") == []
