"""A preview by the real stage programs: what they answer, train and measure, and what the operator tells of it."""

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from distillation_api.contract import StageResult
from distillation_api.status import PreviewStatus
from distillation_operator.pipeline.graph import Pipeline, build_pipeline
from distillation_operator.pipeline.stage import Stage
from distillation_stages.runtime.storage import Storage
from e2e.stage_programs import end_of_stage, environment, interpreter
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
            {"name": "one", "steps": 40, "epochs": 4, "perDeviceBatchSize": 2, "maxTargetLength": 64, "packing": False},
            {"name": "two", "data": "OriginalDataset", "epochs": 2, "maxTargetLength": 64},
        ]
    },
    "evaluation": {"require": {"minCrossEntropyDrop": 0.5}},
}
MEMBERS: dict[str, Any] = {**SPEC, "preview": {"rows": 16, "steps": 5, "then": "Stop"}}
SAYS_WHAT_CAN_BE_SPELT = """
import json, sys
from pathlib import Path
from safetensors.torch import load_file, save_file

model = Path(sys.argv[1])
spelt = len(json.loads((model / "tokenizer.json").read_text())["model"]["vocab"])
tensors = load_file(model / "model.safetensors")
tensors["lm_head.weight"][spelt:] = 0
save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
"""
"""A random model's likeliest tokens are mostly none of the tokenizer's, so its answers would be empty."""
SHARED = ("fetch-teacher", "fetch-student", "prepare-dataset", "convert-student")

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def storage(fetched_models: Storage, tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A storage with two models and a dataset."""
    made = Storage(tmp_path_factory.mktemp("preview") / "storage")
    for role in ("teacher", "student"):
        shutil.copytree(fetched_models.at(f"fetch-{role}/model"), made.at(f"models/{role}"))
        command = [str(interpreter("converter")), "-c", SAYS_WHAT_CAN_BE_SPELT, str(made.at(f"models/{role}"))]
        subprocess.run(command, check=True, env=environment(), timeout=300)
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
    assert {row["row"] for row in rows} <= {*range(ROWS + HOLDOUT)}
    assert sum(row["split"] == "train" for row in rows) == result.counts["train"] <= 16
    ledger = [json.loads(line) for line in storage.at(result.outputs["ledger"]).read_text().splitlines()]
    assert sum(entry["counts"]["read"] for entry in ledger) == result.counts["read"] == 24


def test_each_training_does_a_few_steps_on_rows_read_again_and_again(results: dict[str, StageResult]) -> None:
    assert [results[f"preview-train-{name}"].counts["steps"] for name in ("one", "two")] == [5, 5]
    packed = results["preview-pack-one"].counts
    assert 8 < packed["rows"] <= 16
    assert (packed["rowsRead"], packed["sequences"]) == (10, 10)


def test_a_student_that_has_learnt_nothing_fails_no_gate(results: dict[str, StageResult]) -> None:
    metrics = results["preview-evaluate"].metrics
    assert metrics["crossEntropyDrop"] < 0.5


def test_the_status_tells_speeds_memory_and_facts(told: PreviewStatus) -> None:
    assert 0.5 < float(told.accepted_share or 0) <= 1
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
