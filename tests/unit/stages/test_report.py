"""What the report says, and that nothing in it can act on the reader's browser."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from distillation_api.contract import ReportedStage, StageResult, StartUp
from distillation_stages.data.stage_facts import StageFacts, read_history
from distillation_stages.programs.evaluate.answers import Answer, Comparison
from distillation_stages.programs.evaluate.report import POINTS, Report, Sample, curve, duration, render_report
from distillation_stages.runtime.start_up_record import write_start_up
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import prompt_of

SCORES = [
    {"model": "before", "crossEntropy": 4.0, "perplexity": 54.6, "kl": 2.0, "top1Agreement": 0.2},
    {"model": "after", "crossEntropy": 3.0, "perplexity": 20.1, "kl": 1.25, "top1Agreement": 0.4},
]

PROSE, LOOP = Answer(list(range(17)), True), Answer([1] * 48, False)
ANSWERS = Comparison.of(48, [PROSE], {"before": [LOOP], "after": [PROSE]})

HISTORY = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.5}]


def report(**changes: Any) -> Report:
    members: dict[str, Any] = {
        "spec": json.dumps({"teacher": {"source": {"path": "big"}}, "student": {"source": {"path": "small"}}}),
        "stages": [StageFacts("train-a", 90.0, 1.5, {"steps": 2}, {"loss": 2.5}, {"jax": "1"}, HISTORY)],
        "scores": SCORES,
        "no_kl_because": None,
        "samples": [Sample(7, prompt_of("Why?"), "Because.", "Hm.", "Because")],
        "answers": ANSWERS,
        "verdict": None,
        **changes,
    }
    return Report(**members)


def test_all_that_was_measured_is_on_the_page() -> None:
    page = render_report(report())
    for told in ("big taught small", "Because.", "1 min 30 s", "1.5", "steps 2", "loss 2.5", "jax", "0.4", "train-a"):
        assert told in page, told


def cells(page: str, table: str) -> list[list[str]]:
    """The texts of a table's rows below its head."""
    found = re.search(rf'<table id="{table}">(.*?)</table>', page, re.DOTALL)
    assert found is not None
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in found[1].split("<tr>")]
    return [row for row in rows if row]


def test_the_figures_of_answers_stand_side_by_side_with_their_definition() -> None:
    page = render_report(report())
    assert cells(page, "answers") == [
        ["the teacher", "1", "17", "17", "100%", "0%"],
        ["before", "1", "48", "48", "0%", "98%"],
        ["after", "1", "17", "17", "100%", "0%"],
    ]
    assert "at most 48 tokens" in page
    assert "distinct\n4-grams / all 4-grams" in page
    assert "degenerate" not in page


def test_a_student_whose_answers_degenerate_is_told_of_above_the_plots() -> None:
    page = render_report(report(answers=Comparison.of(48, [PROSE], {"before": [PROSE], "after": [LOOP]})))
    head, _ = page.split("<h2>Plots</h2>")
    assert "0% of its answers end by themselves, of the teacher&#39;s 100%" in head


def test_a_report_without_answers_says_nothing_of_them() -> None:
    page = render_report(report(samples=[], answers=Comparison.of(48, [], {"before": [], "after": []})))
    assert 'id="answers"' not in page
    assert "4-grams" not in page


def test_texts_of_models_and_datasets_are_only_texts() -> None:
    attack = "<script>alert(1)</script>"
    sample = Sample(1, prompt_of(attack), attack, attack, attack)
    history = [{"step": 1, "loss": 1.0}]
    told = StageFacts(attack, 1.0, 0.0, {attack: 1}, {attack: 1.0}, {attack: attack}, history)
    scores = [{**score, "model": attack} for score in SCORES]
    answers = Comparison.of(48, [PROSE], {attack: [PROSE], "after": [PROSE]})
    members = {"samples": [sample], "stages": [told], "scores": scores, "answers": answers}
    page = render_report(report(spec=json.dumps({"a": attack}), **members))
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 8


def test_the_page_loads_nothing_from_elsewhere() -> None:
    page = render_report(report())
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page)


def test_without_a_common_vocabulary_it_says_so() -> None:
    scores = [{name: score[name] for name in ("model", "crossEntropy", "perplexity")} for score in SCORES]
    page = render_report(report(scores=scores, no_kl_because="the tokenizers differ"))
    assert "No KL and no top-1 agreement: the tokenizers differ." in page


def test_the_plots_of_one_page_have_different_ids() -> None:
    stages = [StageFacts(f"train-{name}", history=[{"step": 1, "loss": 3}, {"step": 2, "loss": 2}]) for name in "ab"]
    ids = re.findall(r'<clipPath id="([^"]+)"', render_report(report(stages=stages)))
    assert len(ids) == len(set(ids)) >= 5


def test_long_curves_are_thinned_and_end_with_the_last_step() -> None:
    steps, losses = curve([{"step": step, "loss": 1 / step} for step in range(1, 10_001)], "loss")
    assert len(steps) == len(losses) <= POINTS
    assert steps[-1] == 10_000


def test_a_loss_that_is_no_number_is_not_drawn() -> None:
    assert curve([{"step": 1, "loss": float("nan")}, {"step": 2}, {"step": 3, "loss": 1.0}], "loss") == ([3], [1.0])


def test_a_stage_with_shards_is_told_as_one(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    for shard, seconds in enumerate((1800.0, 3600.0)):
        told = StageResult(stage="generate", fingerprint="f", counts={"kept": 5 + shard}, seconds=seconds)
        storage.write_marker(f"generate/shard-{shard}", told)
    outputs = ["generate/shard-0", "generate/shard-1"]
    stage = StageFacts.read(ReportedStage(name="generate", outputs=outputs, chips=16), storage)
    assert (stage.counts, stage.seconds, stage.chip_hours) == ({"kept": 11}, 3600.0, 8 * 1.5)


def test_where_the_starts_of_a_stage_went_is_told_with_the_chips_that_waited(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    for shard, compiling in enumerate((60.0, 240.0)):
        directory = f"generate/shard-{shard}"
        write_start_up(storage.at(directory), StartUp(imports=20, weights=40, compile=compiling))
        storage.write_marker(directory, StageResult(stage="generate", fingerprint="f", seconds=3600))
    outputs = ["generate/shard-0", "generate/shard-1"]
    stage = StageFacts.read(ReportedStage(name="generate", outputs=outputs, chips=16), storage)
    assert stage.idle_chip_hours == pytest.approx(8 * (120 + 300) / 3600)
    page = render_report(report(stages=[stage]))
    assert "5 min 0 s: imports 20 s, weights 40 s, compile 4 min 0 s, other 0 s; 0.9333 chip-hours" in page


def test_a_record_of_a_start_that_is_something_else_is_left_out(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.write_marker("train", StageResult(stage="train", fingerprint="f", seconds=10))
    for content in ("[]", '{"imports": -1}', '{"imports": 1e300}', "x" * 10_000):
        storage.at("train/_START_UP.json").write_text(content)
        assert StageFacts.read(ReportedStage(name="train", outputs=["train"], chips=1), storage).start is None


def test_a_stage_without_a_marker_is_told_with_nothing(tmp_path: Path) -> None:
    stage = StageFacts.read(ReportedStage(name="export", outputs=["export"], chips=0), Storage(tmp_path))
    assert stage == StageFacts("export")


def test_history_is_read_around_broken_lines(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo\n[]\n{"step": 3}\n')
    assert read_history(tmp_path / "history.jsonl") == [{"step": 1, "loss": 2.0}, {"step": 3}]
    assert read_history(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (3600, "1 h 0 min"), (90, "1 min 30 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
