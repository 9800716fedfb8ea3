"""The demo's job, its operator killed twice and a pod of each kind once: nothing runs twice, nothing is lost."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from demo.places import NAMESPACE, Place
from demo.result import result_of
from distillation_api.contract import TrainData
from distillation_stages.data.tables import parts_of, read_rows
from distillation_stages.data.training_rows import read_conversations
from distillation_stages.runtime.storage import Storage
from e2e.killed_run import CHECKOUT, JOB, Run
from support.audit import events
from testbed.cluster import Testbed

FETCHER = "distillation-operator/fetcher:dev"
"""Any image with `sleep` and `tar` would do."""


def test_the_job_is_complete_and_the_student_has_learnt(run: Run) -> None:
    result = result_of(run.job)
    assert result["phase"] == "Complete", run.job["status"]["conditions"]
    # 30 steps of two rows are few: the example's own gate asks for as much.
    assert result["crossEntropyAfter"] < 0.6 * result["crossEntropyBefore"]
    assert {stage["state"] for stage in result["stages"]} == {"Complete"}
    conditions = {c["type"]: c["status"] for c in run.job["status"]["conditions"]}
    assert conditions["Complete"] == "True" and conditions["Failed"] == "False"


def test_every_child_was_created_exactly_once(run: Run, testbed: Testbed) -> None:
    created: Counter[str] = Counter()
    for event in events(testbed.audit_log):
        reference = event.get("objectRef", {})
        if event["verb"] != "create" or reference.get("namespace") != NAMESPACE or "subresource" in reference:
            continue
        by_us = event["userAgent"].startswith("distillation-operator/")
        if reference["resource"] in ("jobs", "jobsets") and by_us and event["responseStatus"]["code"] == 201:
            created[reference["name"]] += 1
    stages = [stage["name"] for stage in run.job["status"]["stages"]]
    expected = [f"{JOB}-{name}-0" for name in stages] + [f"{JOB}-train-teacher-data-1"]
    assert created == Counter(expected)


def test_only_what_was_killed_was_tried_again_and_is_counted(run: Run) -> None:
    attempts = {stage["name"]: stage["attempts"] for stage in run.job["status"]["stages"]}
    assert attempts.pop("train-teacher-data") == {"failures": 1, "disruptions": 0}
    # Its Job has tried the shard again, and counted.
    assert attempts.pop("generate") == {"failures": 1, "disruptions": 0}
    assert run.stage("generate")["attempt"] == 0
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


def test_what_is_learnt_is_what_was_said_token_for_token(run: Run) -> None:
    """Teacher and student share a tokenizer."""
    generated, packed = (run.stage(name)["counts"] for name in ("generate", "pack-teacher-data"))
    assert packed["asSampled"] == packed["answers"] == generated["train"]
    assert packed["comparedWithSampled"] > 0


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
    """By content, in what the two training stages read; in no turn, since the second one learns every answer."""
    assert place.storage is not None
    storage = Storage(place.storage)
    dataset, completions = (str(_output_of(place, stage)) for stage in ("prepare-dataset", "generate"))
    held_out = storage.require_marker(dataset).outputs["holdout"]
    questions = {_text(row["prompt"]) for row in read_rows(parts_of(storage.at(held_out)))}
    assert len(questions) == run.stage("prepare-dataset")["counts"]["holdout"] > 0
    for data in (
        TrainData(kind="TeacherCompletions", completions=completions, shards=2, dataset=dataset),
        TrainData(kind="OriginalDataset", dataset=dataset, train_on="EveryAssistantTurn"),
    ):
        prompts = [conversation.prompt for conversation in read_conversations(data, storage)]
        trained_on = {_text(prompt[:end]) for prompt in prompts for end in range(1, len(prompt) + 1)}
        assert trained_on and questions.isdisjoint(trained_on)


def _output_of(place: Place, stage: str) -> Path:
    """The output directory of the stage, of which there is one: all jobs of this storage share it."""
    assert place.storage is not None
    [output] = (place.storage / "distillation" / stage).iterdir()
    return output.relative_to(place.storage)


def _text(prompt: Any) -> str:
    return json.dumps([[turn["role"], turn["content"]] for turn in prompt])


def test_files_come_off_the_claim_and_onto_it_as_the_page_says(run: Run, place: Place, tmp_path: Path) -> None:
    page = (CHECKOUT / "docs" / "storage.md").read_text()
    [pod] = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    [script] = [
        text for text in re.findall(r"^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if "kubectl cp" in text
    ]
    (tmp_path / "storage-pod.yaml").write_text(re.sub(r"image: REGISTRY/fetcher:\S+", f"image: {FETCHER}", pod))
    (tmp_path / "chats.jsonl").write_text('{"messages": []}\n')
    variables = {
        **os.environ,
        "KUBECONFIG": shutil.copy(place.kubeconfig, tmp_path / "kubeconfig"),
        "PATH": f"{Path(place.kubectl.program).parent}:{os.environ['PATH']}",
    }
    namespace = f"kubectl config set-context --current --namespace {NAMESPACE}"
    command = ["bash", "-euc", f"{namespace}\n{script.replace('NAME', JOB)}"]
    done = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert place.storage is not None
    results = run.job["status"]["results"]
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "model" / name).read_bytes() == (
            place.storage / results["exportedModel"] / name
        ).read_bytes()
    assert (tmp_path / "report.html").read_bytes() == (place.storage / results["report"]).read_bytes()
    assert (place.storage / "datasets" / "chats.jsonl").read_text() == (tmp_path / "chats.jsonl").read_text()
