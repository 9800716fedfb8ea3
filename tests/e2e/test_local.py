"""A small distillation by ``local``, with the real programs in the images' environments; killed once on the way."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillation_api.resource import DistillationJob
from distillation_operator.local.folder import JobFolder
from distillation_operator.local.leftovers import mark_of_job, marked
from distillation_operator.pipeline.graph import build_pipeline
from distillation_stages.maxtext.checkpoints import steps_in
from distillation_stages.runtime.storage import Storage
from e2e.stage_programs import environment, interpreter
from support.eventually import eventually
from testbed import environments

IMAGES = ("fetcher", "converter", "trainer", "teacher")
CHECKOUT = Path(__file__).resolve().parents[2]
STEPS = 30

pytestmark = pytest.mark.timeout(1800)

JOB: dict[str, Any] = {
    "apiVersion": "distillation.dev/v1alpha1",
    "kind": "DistillationJob",
    "metadata": {"name": "small"},
    "spec": {
        "teacher": {"source": {"path": "models/teacher"}},
        "student": {"source": {"path": "models/student"}},
        "dataset": {"source": {"path": "data.jsonl"}, "messagesColumn": "messages", "holdout": 4},
        "storage": {"gcs": {"bucket": "of-the-cluster"}},
        "generation": {
            "maxLostShare": 1.0,  # a random teacher says what it says
            "maxModelLen": 128,
            "sampling": {"temperature": 1.0, "maxTokens": 16, "keepTruncated": True},
            "resources": {"cpu": "500m", "memory": "3Gi"},
        },
        "conversion": {"resources": {"cpu": "500m", "memory": "3Gi"}},
        "training": {
            "resources": {"cpu": "500m", "memory": "3Gi"},
            "stages": [
                {
                    "name": "one", "steps": STEPS, "perDeviceBatchSize": 1, "maxTargetLength": 64, "packing": False,
                    "dtype": "float32", "learningRate": 0.001, "checkpointPeriod": 2,
                }
            ],
        },
        "export": {"dtype": "float32"},
    },
}  # fmt: skip


@dataclass
class Local:
    """The job on a storage of its own."""

    root: Path

    def __post_init__(self) -> None:
        self.storage = self.root / "storage"
        self.folder = JobFolder(self.storage / "small")
        self.file = self.root / "job.yaml"
        self.file.write_text(yaml.safe_dump(JOB))

    def begin(self, log: Path) -> "subprocess.Popen[bytes]":
        pythons = [part for image in IMAGES for part in ("--python", f"{image}={environments.python(image)}")]
        command = [sys.executable, "-m", "distillation_operator", "local", str(self.file)]
        path = os.pathsep.join(str(CHECKOUT / folder) for folder in ("operator", "images"))
        with log.open("wb") as output:
            return subprocess.Popen(
                [*command, "--storage", str(self.storage), *pythons],
                env={**os.environ, "PYTHONPATH": path},
                stdout=output,
                stderr=output,
            )

    def newest_checkpoint(self) -> int:
        """The step of the training's newest whole checkpoint; 0 when there is none."""
        folders = self.storage.glob("distillation/train-one/*/run/checkpoints")
        return max((step for folder in folders for step in steps_in(folder)), default=0)

    def stage(self, name: str) -> dict[str, Any]:
        status = (self.folder.read() or {}).get("status") or {"stages": []}
        return next((dict(stage) for stage in status["stages"] if stage["name"] == name), {})


def with_inputs(local: Local) -> None:
    """Two small random models and a handful of conversations."""
    for role in ("teacher", "student"):
        model = local.storage / "models" / role
        model.mkdir(parents=True)
        script = Path(__file__).with_name("small_family.py")
        command = [str(interpreter("converter")), str(script), str(model), "qwen3"]
        subprocess.run(command, check=True, env=environment(), timeout=300)
    rows = [
        {"messages": [{"role": "user", "content": f"Count to {n}."}, {"role": "assistant", "content": f"One to {n}."}]}
        for n in range(1, 41)
    ]
    (local.storage / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_distillation_that_is_killed_while_it_trains_goes_on_to_its_end(tmp_path: Path) -> None:
    local = Local(tmp_path)
    with_inputs(local)
    process = local.begin(tmp_path / "first.log")
    try:
        eventually(
            "a checkpoint", lambda: process.poll() is not None or local.newest_checkpoint() >= 2, 900, pause=0.05
        )
        assert process.poll() is None, (tmp_path / "first.log").read_text()
    finally:
        process.kill()
        process.wait()
    done = {path: path.stat().st_mtime_ns for path in local.folder.logs.glob("generate-*")}
    assert len(done) == 1

    process = local.begin(tmp_path / "second.log")
    assert process.wait(900) == 0, (tmp_path / "second.log").read_text()
    thing = local.folder.read() or {}
    assert thing["status"]["phase"] == "Complete"
    assert not marked(mark_of_job(local.folder.owner))
    training = local.stage("train-one")
    assert training["counts"]["steps"] == STEPS
    assert training["counts"]["restarts"] == 1
    assert training["counts"]["repeatedSteps"] < STEPS, "it went on from a checkpoint"
    assert training["attempts"] == {"failures": 0, "disruptions": 0}
    assert {path: path.stat().st_mtime_ns for path in done} == done, "what is done is not done again"
    storage = Storage(local.storage)
    assert storage.at(thing["status"]["results"]["report"]).is_file()
    assert storage.at(thing["status"]["results"]["exportedModel"]).joinpath("config.json").is_file()
    # A cluster with this storage finds all of it: the markers are where its fingerprints say.
    for stage in build_pipeline(DistillationJob.parse(JOB).spec).values():
        assert storage.finished(f"{stage.output}/shard-0" if stage.is_indexed else stage.output) is not None, stage.name
    # And so does whoever else works on it, with nothing but the storage.
    shutil.rmtree(local.folder.path)
    process = local.begin(tmp_path / "third.log")
    assert process.wait(600) == 0, (tmp_path / "third.log").read_text()
    again = (local.folder.read() or {})["status"]["stages"]
    assert [stage["name"] for stage in again if not stage["reused"]] == []
