"""The demo's job, its operator killed twice and a pod of each kind once: nothing runs twice, nothing is lost."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.operator_process import OperatorProcess
from demo.places import NAMESPACE, Place
from demo.result import result_of, summary_lines, write_result
from distillation_api.contract import TrainData
from distillation_stages.data.tables import parts_of, read_rows
from distillation_stages.maxtext.checkpoints import steps_in
from distillation_stages.programs.train.data import read_conversations
from distillation_stages.runtime.storage import Storage
from support.eventually import eventually
from testbed.cluster import Testbed

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "examples" / "smollm2-cpu.yaml"
JOB = "smollm2-cpu"
CHUNK_ROWS = 16
MINUTE = 60.0


@dataclass
class Run:
    """What the test saw of one run."""

    job: dict[str, Any] = field(default_factory=dict)
    chunks_before_kill: dict[Path, int] = field(default_factory=dict)
    """Modification time, in nanoseconds, of the chunks that stood when the generation pod was killed."""
    checkpoint_before_kill: int = 0
    training_log: str = ""
    """Log of the lead pod of the attempt after the killed one."""

    def stage(self, name: str) -> dict[str, Any]:
        """A stage's status."""
        return next(dict(stage) for stage in self.job["status"]["stages"] if stage["name"] == name)


@pytest.fixture(scope="module")
def run(place: Place) -> Iterator[Run]:
    """The whole run, with its four killings."""
    operator = OperatorProcess(place.kubeconfig, CHECKOUT / "build" / "e2e" / "operator.log", NAMESPACE)
    operator.start()
    seen = Run()
    try:
        place.kubectl("apply", "-f", str(EXAMPLE))
        _kill_while_generating(place, operator, seen)
        _kill_while_training(place, operator, seen)
        eventually("the job's end", lambda: _phase(place) in ("Complete", "Failed"), 25 * MINUTE)
        seen.job = place.kubectl.get("distillationjob", JOB) or {}
        result = result_of(seen.job)
        write_result(result, CHECKOUT / "build" / "e2e" / "result.json")
        print("\n".join(summary_lines(result)), flush=True)
        yield seen
    finally:
        operator.stop()


def _kill_while_generating(place: Place, operator: OperatorProcess, seen: Run) -> None:
    """The operator at the first chunk; then, with no operator about, the pod of the shard that wrote it."""
    first = eventually("a chunk", lambda: next(iter(_chunks(place)), None), 10 * MINUTE)
    operator.kill()
    shard = int(first.parent.name.removeprefix("shard-"))
    seen.chunks_before_kill = {path: path.stat().st_mtime_ns for path in _chunks(place) if path.parent == first.parent}
    selector = f"distillation.dev/stage=generate,batch.kubernetes.io/job-completion-index={shard}"
    place.kubectl("delete", "pod", "-l", selector, "--grace-period=1", "--wait=false")
    operator.start()


def _kill_while_training(place: Place, operator: OperatorProcess, seen: Run) -> None:
    """The operator at the first training stage's first real checkpoint, then one of the two training pods."""
    # MaxText saves its first step too; that one would prove little.
    seen.checkpoint_before_kill = eventually("a checkpoint", lambda: _newest_checkpoint(place, after=1), 20 * MINUTE)
    operator.kill()
    operator.start()
    pods = place.kubectl.list("pod", "distillation.dev/stage=train-teacher-data,distillation.dev/attempt=0")
    assert len(pods) == 2, "the first training stage runs on two pods"
    place.kubectl("delete", "pod", pods[1]["metadata"]["name"], "--grace-period=1", "--wait=false")
    attempt = "distillation.dev/stage=train-teacher-data,distillation.dev/attempt=1"
    lead = f"{attempt},batch.kubernetes.io/job-completion-index=0"

    def next_attempt() -> str | None:
        pods = place.kubectl.list("pod", lead)
        running = [pod for pod in pods if pod["status"]["phase"] in ("Running", "Succeeded")]
        return str(running[0]["metadata"]["name"]) if running else None

    name = eventually("the next attempt's pod", next_attempt, 5 * MINUTE)
    eventually("its first progress line", lambda: '"progress"' in place.kubectl("logs", name), 5 * MINUTE)
    seen.training_log = place.kubectl("logs", name)


def _chunks(place: Place) -> list[Path]:
    assert place.storage is not None
    return sorted(place.storage.glob("distillation/generate/*/shard-*/chunk-*.parquet"))


def _newest_checkpoint(place: Place, after: int) -> int | None:
    """The step of the first training stage's newest whole checkpoint, if it is greater than ``after``."""
    assert place.storage is not None
    folders = place.storage.glob("distillation/train-teacher-data/*/run/checkpoints")
    return max((step for folder in folders for step in steps_in(folder) if step > after), default=None)


def _phase(place: Place) -> str:
    job = place.kubectl.get("distillationjob", JOB) or {}
    return str((job.get("status") or {}).get("phase"))


def test_the_job_is_complete_and_the_student_has_learnt(run: Run) -> None:
    result = result_of(run.job)
    assert result["phase"] == "Complete", run.job["status"]["conditions"]
    assert result["crossEntropyAfter"] < result["crossEntropyBefore"] / 2
    assert {stage["state"] for stage in result["stages"]} == {"Complete"}
    conditions = {c["type"]: c["status"] for c in run.job["status"]["conditions"]}
    assert conditions["Complete"] == "True" and conditions["Failed"] == "False"


def test_every_child_was_created_exactly_once(run: Run, testbed: Testbed) -> None:
    created: Counter[str] = Counter()
    for line in testbed.audit_log.read_text().splitlines():
        event = json.loads(line)
        reference = event.get("objectRef", {})
        if event["verb"] != "create" or reference.get("namespace") != NAMESPACE or "subresource" in reference:
            continue
        by_us = event["userAgent"].startswith("distillation-operator/")
        if reference["resource"] in ("jobs", "jobsets") and by_us and event["responseStatus"]["code"] == 201:
            created[reference["name"]] += 1
    stages = [stage["name"] for stage in run.job["status"]["stages"]]
    expected = [f"{JOB}-{name}-0" for name in stages] + [f"{JOB}-train-teacher-data-1"]
    assert created == Counter(expected)


def test_only_the_killed_training_was_tried_again(run: Run) -> None:
    attempts = {stage["name"]: stage["attempts"] for stage in run.job["status"]["stages"]}
    assert attempts.pop("train-teacher-data") == {"failures": 1, "disruptions": 0}
    assert all(attempt == {"failures": 0, "disruptions": 0} for attempt in attempts.values()), attempts


def test_a_killed_generation_pod_keeps_its_chunks_and_all_rows_are_there(run: Run) -> None:
    """Case 17."""
    assert run.chunks_before_kill
    rewritten = [path for path, when in run.chunks_before_kill.items() if path.stat().st_mtime_ns != when]
    assert not rewritten, "finished chunks must not be made again"
    counts = run.stage("generate")["counts"]
    rejected = sum(count for name, count in counts.items() if name.startswith("rejected."))
    prepared = run.stage("prepare-dataset")["counts"]
    assert counts["read"] == prepared["train"] + prepared["holdout"] == counts["kept"] + rejected


def test_a_killed_training_goes_on_from_its_checkpoint(run: Run) -> None:
    progress = [json.loads(line) for line in run.training_log.splitlines() if line.startswith('{"type":"progress"')]
    assert progress[0]["done"] >= run.checkpoint_before_kill > 1
    steps = run.stage("train-teacher-data")["counts"]
    assert steps["steps"] == progress[0]["total"]
    assert steps["restarts"] == 1


def test_both_training_stages_are_jobsets_and_one_has_two_pods(run: Run, place: Place) -> None:
    jobsets = {jobset["metadata"]["name"]: jobset for jobset in place.kubectl.list("jobset")}
    pods = [jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["completions"] for jobset in jobsets.values()]
    assert sorted(jobsets) == [
        f"{JOB}-train-original-data-0",
        f"{JOB}-train-teacher-data-0",
        f"{JOB}-train-teacher-data-1",
    ]
    assert sorted(pods) == [1, 2, 2]


def test_the_exported_model_is_there(run: Run, place: Place) -> None:
    assert place.storage is not None
    model = place.storage / result_of(run.job)["exportedModel"]
    assert {"config.json", "tokenizer.json"} <= {path.name for path in model.iterdir()}
    assert list(model.glob("*.safetensors"))


def test_no_held_out_question_is_among_those_trained_on(run: Run, place: Place) -> None:
    """By content, in what the two training stages read."""
    assert place.storage is not None
    storage = Storage(place.storage)
    dataset, completions = (str(_output_of(place, stage)) for stage in ("prepare-dataset", "generate"))
    held_out = storage.require_marker(dataset).outputs["holdout"]
    questions = {_text(row["prompt"]) for row in read_rows(parts_of(storage.at(held_out)))}
    assert len(questions) == run.stage("prepare-dataset")["counts"]["holdout"] > 0
    for data in (
        TrainData(kind="TeacherCompletions", completions=completions, shards=2, dataset=dataset),
        TrainData(kind="OriginalDataset", dataset=dataset),
    ):
        trained_on = [_text(prompt) for _, prompt, _ in read_conversations(data, storage)]
        assert trained_on and questions.isdisjoint(trained_on)


def _output_of(place: Place, stage: str) -> Path:
    """The output directory of the stage, of which there is one: all jobs of this storage share it."""
    assert place.storage is not None
    [output] = (place.storage / "distillation" / stage).iterdir()
    return output.relative_to(place.storage)


def _text(prompt: Any) -> str:
    return json.dumps([[turn["role"], turn["content"]] for turn in prompt])


def test_a_job_that_differs_in_the_learning_rate_only_trains_at_once(run: Run, place: Place) -> None:
    before = {path: path.stat().st_mtime_ns for path in _chunks(place)}
    manifest = yaml.safe_load(EXAMPLE.read_text())
    name = manifest["metadata"]["name"] = f"{JOB}-again"
    manifest["spec"]["training"]["stages"][0]["learningRate"] = 0.0001
    place.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def training() -> dict[str, Any] | None:
        stages = ((place.kubectl.get("distillationjob", name) or {}).get("status") or {}).get("stages") or []
        found = {stage["name"]: stage for stage in stages}
        return found if found.get("train-teacher-data", {}).get("state") == "Running" else None

    try:
        stages = eventually("its training", training, 5 * MINUTE)
    finally:
        place.kubectl("delete", "distillationjob", name, "--cascade=foreground", "--timeout=120s")
    done = [stage for stage in stages.values() if stage["state"] == "Complete"]
    assert {stage["name"] for stage in done} == {
        "fetch-teacher", "fetch-student", "prepare-dataset", "convert-student", "generate",
    }  # fmt: skip
    assert all(stage["reused"] for stage in done)
    assert {path: path.stat().st_mtime_ns for path in _chunks(place)} == before
    _output_of(place, "convert-student")
