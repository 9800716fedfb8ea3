"""A preview by the real stage programs: what they answer, train and measure, and what the operator tells of it."""

import json
import os
import shutil
from typing import Any

import pytest

from distillation_api.contract import GenerateProgram, StageResult
from distillation_api.status import PreviewStatus
from distillation_operator.pipeline.graph import Pipeline, build_pipeline
from distillation_operator.pipeline.stage import Stage
from distillation_stages.runtime.storage import Storage
from e2e.stage_programs import end_of_stage, interpreter
from e2e.training_storage import MODEL
from support.scenario import Given, job_of, small_spec
from unit.stages.stage_inputs import rows_in

ROWS, HOLDOUT = 40, 12
SPEC = {
    "teacher": {"source": {"path": "models/teacher"}},
    "student": {"source": {"path": "models/student"}, "maxTextModel": MODEL},
    "dataset": {"source": {"path": "rows.jsonl"}, "messagesColumn": "messages", "holdout": HOLDOUT},
    "generation": {
        "shards": 2,
        "maxModelLen": 256,
        "sampling": {"temperature": 0.0, "maxTokens": 24, "keepTruncated": True},
    },
    "training": {
        "stages": [
            {"name": "one", "steps": 40, "epochs": 2, "perDeviceBatchSize": 2, "maxTargetLength": 64, "packing": False},
            {"name": "two", "data": "OriginalDataset", "epochs": 2, "maxTargetLength": 64},
        ]
    },
    "evaluation": {"require": {"minCrossEntropyDrop": 0.5}},
}
MEMBERS: dict[str, Any] = {**SPEC, "preview": {"rows": 16, "steps": 5, "then": "Stop"}}
SHARED = ("fetch-teacher", "fetch-student", "prepare-dataset", "convert-student")

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def storage(fetched_models: Storage, tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A storage with two models and a dataset."""
    made = Storage(tmp_path_factory.mktemp("preview") / "storage")
    for role in ("teacher", "student"):
        shutil.copytree(fetched_models.at(f"fetch-{role}/model"), made.at(f"models/{role}"))
    rows = [
        {"messages": [{"role": "user", "content": f"Say {row}."}, {"role": "assistant", "content": f"It is {row}."}]}
        for row in range(ROWS + HOLDOUT)
    ]
    made.at("rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return made


def pipeline_of(members: dict[str, Any]) -> Pipeline:
    return build_pipeline(job_of(small_spec(**members)).spec)


def run(storage: Storage, stage: Stage, index: int = 0) -> StageResult:
    """Run a stage's program to its end."""
    log = storage.mount.parent / f"{stage.name}-{index}"
    variables = {"JOB_COMPLETION_INDEX": f"{index}", "SCRATCH": str(storage.mount.parent)}
    code, message = end_of_stage(interpreter(stage.image), stage.spec(), storage.mount, log, **variables)
    assert code == 0, f"{stage.name}: {message}; {log.with_suffix('.err').read_text()[-3000:]}"
    return StageResult.model_validate_json(message)


@pytest.fixture(scope="module")
def results(storage: Storage) -> dict[str, StageResult]:
    """What the stages of the preview, and those that it shares, have said."""
    made: dict[str, StageResult] = {}
    for name, stage in pipeline_of(MEMBERS).items():
        if name in SHARED or stage.is_of_preview:
            made[name] = run(storage, stage)
    return made


@pytest.fixture(scope="module")
def told(results: dict[str, StageResult]) -> PreviewStatus:
    """The status that follows from it."""
    given = Given(**MEMBERS).done("preflight")
    for name, result in results.items():
        members: dict[str, Any] = {"counts": result.counts, "metrics": result.metrics, "seconds": result.seconds}
        given.completed(name, ago=0, **members)
        given.decide()
    seen = given.decide()
    assert seen.condition("Suspended").reason == "PreviewDone", seen.condition("Reconciling").message
    assert seen.status.preview is not None
    print(seen.condition("Suspended").message)
    return seen.status.preview


def test_the_teacher_answers_a_few_rows_and_the_ledger_has_them(
    storage: Storage, results: dict[str, StageResult]
) -> None:
    result = results["preview-generate"]
    rows = rows_in(storage, result.outputs["completions"])
    assert [row["split"] for row in rows] == ["train"] * 16 + ["holdout"] * 8
    ledger = [json.loads(line) for line in storage.at(result.outputs["ledger"]).read_text().splitlines()]
    assert sum(entry["counts"]["read"] for entry in ledger) == result.counts["read"] == 24


def test_each_training_does_a_few_steps_on_rows_read_again_and_again(results: dict[str, StageResult]) -> None:
    assert [results[f"preview-train-{name}"].counts["steps"] for name in ("one", "two")] == [5, 5]
    packed = results["preview-pack-one"].counts
    assert (packed["rows"], packed["rowsRead"], packed["sequences"]) == (16, 10, 10)


def test_a_student_that_has_learnt_nothing_fails_no_gate(results: dict[str, StageResult]) -> None:
    metrics = results["preview-evaluate"].metrics
    assert metrics["crossEntropyDrop"] < 0.5


def test_the_status_tells_speeds_memory_and_facts(told: PreviewStatus) -> None:
    assert told.accepted_share == "1"
    assert float(told.teacher_tokens_per_second or 0) > 0
    assert set(told.training_tokens_per_second or {}) == {"one", "two"}
    assert {"preview-generate", "preview-train-one", "preview-train-two"} <= set(told.memory_gib or {})
    assert all(0.1 < float(gib) < 64 for gib in (told.memory_gib or {}).values())
    found = {(fact.stage, fact.name): fact for fact in told.facts}
    assert found["preview-train-one", "devices"].as_expected is True
    assert found["preview-train-one", "devices"].value == "1 of 1"
    assert found["preview-generate", "uid"].value == str(os.getuid())


def test_the_estimate_is_of_the_whole(told: PreviewStatus, results: dict[str, StageResult]) -> None:
    """At least what loading and compiling once more take, and no multiple of it: the whole is hardly more."""
    preview = sum(result.seconds for name, result in results.items() if name not in SHARED)
    assert told.estimated_seconds is not None
    assert 0.5 * preview < told.estimated_seconds < 4 * preview
    assert told.estimated_chip_hours == "0.0"


def test_the_real_work_takes_about_as_long_as_was_estimated(
    storage: Storage, results: dict[str, StageResult], told: PreviewStatus
) -> None:
    """Stage after stage, so none takes another's cores; what takes longest side by side is found by the graph. Twice
    the time is for a machine that has other work meanwhile; it is a tenth where it has none.
    """
    ends: dict[str, float] = {}
    # Its own few steps teach nothing to speak of: this is about time.
    for name, stage in pipeline_of({**MEMBERS, "evaluation": {}}).items():
        if name in results or name == "preflight":
            continue
        shards = stage.program.shards if isinstance(stage.program, GenerateProgram) else 1
        taken = max(run(storage, stage, index).seconds for index in range(shards))
        ends[name] = max((ends.get(need, 0.0) for need in stage.needs), default=0.0) + taken
    real = max(ends.values())
    assert told.estimated_seconds is not None
    preview = sum(result.seconds for name, result in results.items() if name not in SHARED)
    shared = sum(result.seconds for name, result in results.items() if name in SHARED)
    print(f"estimated {told.estimated_seconds} s, took {real:.0f} s; preview {preview:.0f} s, shared {shared:.0f} s")
    print({name: round(end, 1) for name, end in ends.items()}, {n: r.seconds for n, r in results.items()})
    assert 0.5 * real < told.estimated_seconds < 2 * real
