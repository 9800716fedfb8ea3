"""The evaluation with real models: the distances that it finds are known, and a browser shows its report."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from distillation_api.contract import EvaluateProgram, ReportedStage, ReportFacts, StageResult, StageSpec
from distillation_stages.data.tables import COMPLETIONS, write_table
from distillation_stages.runtime.storage import Storage
from e2e.stage_programs import interpreter, run_stage
from e2e.training_storage import copy_of
from testbed import debian

ROWS = 12
MEASURE = """
<script>
  addEventListener("load", () => {
    const marks = [...document.querySelectorAll("figure .track, figure .bar, figure .curve")].map(mark => {
      const box = mark.getBoundingClientRect(), plot = mark.closest("figure").querySelector("h3").textContent;
      return {kind: mark.classList[0], plot, width: box.width, height: box.height};
    });
    const told = document.createElement("pre");
    told.id = "measured";
    told.textContent = JSON.stringify({marks, samples: document.querySelectorAll("#samples .sample").length});
    document.body.append(told);
  });
</script>
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the storage and the program's log."""
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def storage(folder: Path, fetched_models: Storage) -> Storage:
    """As it is before evaluation. The student has learnt all: after training it is the teacher."""
    storage = copy_of(fetched_models, folder / "storage")
    storage.write_marker("export", StageResult(stage="x", fingerprint="x", outputs={"model": "fetch-teacher/model"}))
    rows = [
        {
            "row": row,
            "sample": 0,
            "split": "train" if row >= ROWS else "holdout",
            "prompt": [{"role": "user", "content": f"What is {row} and {row}? <b>&amp;</b>"}],
            "reference": None,
            "completion": f"{row} and {row} is {2 * row}.",
            "finishReason": "length" if row == 3 else "stop",
            "promptTokens": 1,
            "completionTokens": 1,
        }
        for row in range(ROWS + 4)
    ]
    write_table(storage.at("generate/shard-0/chunk-00000.parquet"), COMPLETIONS, rows)
    outputs = {"completions": "generate/shard-0"}
    counts = {"read": ROWS + 4, "kept": ROWS + 4}
    generated = StageResult(stage="generate", fingerprint="g", outputs=outputs, counts=counts, seconds=9.0)
    storage.write_marker("generate/shard-0", generated)
    history = storage.at("train/run/history.jsonl")
    history.parent.mkdir(parents=True)
    history.write_text("".join(f'{{"step": {step}, "loss": {9 - step / 4}}}\n' for step in range(1, 21)))
    trained = StageResult(
        stage="train-a", fingerprint="t", outputs={"history": "train/run/history.jsonl"}, versions={"maxtext": "0.2.3"}
    )
    storage.write_marker("train", trained)
    return storage


@pytest.fixture(scope="module")
def evaluated(folder: Path, storage: Storage) -> StageResult:
    """The result."""
    program = EvaluateProgram(
        before="fetch-student",
        after="export",
        between={"a": "fetch-student"},
        teacher="fetch-teacher",
        completions="generate",
        shards=1,
        reported=[
            ReportedStage(name="generate", outputs=["generate/shard-0"], chips=4),
            ReportedStage(name="train-a", outputs=["train"], chips=8),
        ],
        spec='{"teacher": {"source": {"path": "big"}}, "student": {"source": {"path": "small"}}}',
    )
    spec = StageSpec(stage="evaluate", fingerprint="e", output="evaluate", program=program)
    return run_stage(interpreter("converter"), spec, storage.mount, folder / "evaluate")


@pytest.mark.timeout(600)
def test_a_student_that_is_the_teacher_has_no_distance_to_it(evaluated: StageResult) -> None:
    metrics = evaluated.metrics
    assert metrics["klAfter"] == pytest.approx(0.0, abs=1e-4)
    assert metrics["top1AgreementAfter"] > 0.99
    # Random models of different seeds have nothing in common.
    assert metrics["klBefore"] > 1
    assert metrics["top1AgreementBefore"] < 0.1
    assert evaluated.counts["rows"] == ROWS
    assert evaluated.counts["klTokens"] == evaluated.counts["tokens"]


@pytest.mark.timeout(600)
def test_the_line_to_reach_is_the_teachers_own_score(storage: Storage, evaluated: StageResult) -> None:
    facts = ReportFacts.model_validate_json(storage.at(evaluated.outputs["facts"]).read_text())
    assert facts.teacher is not None
    assert facts.teacher.cross_entropy == pytest.approx(facts.after.cross_entropy, rel=1e-3), "it is the teacher"
    assert facts.teacher_size.parameters and facts.student_size.parameters
    assert facts.stages[1].curve is not None and facts.stages[1].curve.steps[-1] == 20
    assert [point.step for point in facts.stages[1].curve.held_out] == []


@pytest.mark.timeout(600)
def test_equal_students_have_equal_scores(storage: Storage, evaluated: StageResult) -> None:
    before, between, _ = json.loads(storage.at(evaluated.outputs["scores"]).read_text())["models"]
    assert {**before, "model": "a"} == between


@pytest.mark.timeout(600)
def test_answers_are_measured_in_the_students_tokens_and_ends(storage: Storage, evaluated: StageResult) -> None:
    metrics = evaluated.metrics
    assert metrics["endsByItselfTeacher"] == pytest.approx(1 - 1 / ROWS), "one of its answers was cut"
    assert 4 < metrics["answerTokensTeacher"] < 48
    answers = json.loads(storage.at(evaluated.outputs["scores"]).read_text())["answers"]
    teacher, before, between, after = answers["models"]
    assert {**before, "model": "a"} == between
    assert {one["answers"] for one in answers["models"]} == {ROWS}
    assert all(0 < one["answerTokensP90"] <= answers["limit"] for one in (before, after)), "random, but not mute"
    assert teacher["repetition"] < 0.2


@pytest.mark.timeout(600)
def test_a_browser_shows_the_report_with_marks_in_every_plot(
    storage: Storage, folder: Path, evaluated: StageResult
) -> None:
    told, console = shown(storage.at(evaluated.outputs["report"]), folder)
    assert not console
    plots: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for mark in told["marks"]:
        plots.setdefault((mark["kind"], mark["plot"]), []).append(mark)
    rows = {plot: len(marks) for (kind, plot), marks in plots.items() if kind == "track"}
    assert rows == {
        "Cross-entropy": 3,
        "Distance to the teacher (KL)": 3,
        "Top-1 agreement": 3,
        "Answers that end by themselves": 4,
        "Repeated 4-grams": 4,
    }, "scores before, between and after; of answers those of the teacher too"
    cross_entropies = plots["bar", "Cross-entropy"]
    assert len(cross_entropies) == 3
    assert all(bar["width"] > 10 and bar["height"] > 10 for bar in cross_entropies)
    (curve,) = plots["curve", "Training a"]
    assert curve["width"] > 100 and curve["height"] > 50
    assert told["samples"] == ROWS


def shown(report: Path, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """What a script measures in the opened page, and what the browser's console said."""
    debian.install(("chromium",), folder / "chromium.log")
    page = folder / "report.html"
    # Its policy lets no script run, not even this one.
    open_to_scripts = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text(), count=1)
    page.write_text(open_to_scripts.replace("</body>", f"{MEASURE}</body>"))
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        f"--user-data-dir={folder / 'browser'}",
        "--virtual-time-budget=10000",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<pre id="measured">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stderr[-2000:]
    return json.loads(found[1].replace("&amp;", "&").replace("&gt;", ">").replace("&lt;", "<")), console
