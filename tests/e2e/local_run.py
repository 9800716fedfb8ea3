"""A small job by ``local``, with the real programs in the images' environments."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from distillation_operator.local.folder import JobFolder
from distillation_stages.maxtext.checkpoints import steps_in
from e2e.stage_programs import environment, interpreter
from testbed import environments

IMAGES = ("fetcher", "converter", "trainer", "teacher")
CHECKOUT = Path(__file__).resolve().parents[2]
STEPS = 30

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
    """A job on a storage of this machine."""

    root: Path
    """Folder for the job's file."""
    storage: Path
    job: dict[str, Any] = field(default_factory=lambda: JOB)
    prefix: Sequence[str] = ()
    """Of its command line: a program that starts it as somebody else."""

    def __post_init__(self) -> None:
        name = self.job["metadata"]["name"]
        self.folder = JobFolder(self.storage / name)
        self.file = self.root / f"{name}.yaml"
        self.file.write_text(yaml.safe_dump(self.job))

    def begin(self, log: Path) -> "subprocess.Popen[bytes]":
        """Start the command; its output goes to the file."""
        pythons = [part for image in IMAGES for part in ("--python", f"{image}={environments.python(image)}")]
        command = [*self.prefix, sys.executable, "-m", "distillation_operator", "local", str(self.file)]
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
        """A stage's status as it was written last; empty before it is known."""
        status = (self.folder.read() or {}).get("status") or {"stages": []}
        return next((dict(stage) for stage in status["stages"] if stage["name"] == name), {})


def write_small_inputs(storage: Path) -> None:
    """Two small random models and a handful of conversations, where the job expects them."""
    for role in ("teacher", "student"):
        model = storage / "models" / role
        model.mkdir(parents=True)
        script = Path(__file__).with_name("small_family.py")
        command = [str(interpreter("converter")), str(script), str(model), "qwen3"]
        subprocess.run(command, check=True, env=environment(), timeout=300)
    rows = [
        {"messages": [{"role": "user", "content": f"Count to {n}."}, {"role": "assistant", "content": f"One to {n}."}]}
        for n in range(1, 41)
    ]
    (storage / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
