"""A storage on this machine with a job on it, and a tiny program in place of all images."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distillation_operator.cli import main
from distillation_operator.local.folder import JobFolder
from support import fake_stage
from support.scenario import small_spec

CHECKOUT = Path(__file__).resolve().parents[2]
IMAGES = ("fetcher", "converter", "trainer", "teacher")
JOB = "job"
_CRD = yaml.safe_load((CHECKOUT / "crds" / "distillationjobs.yaml").read_text())
STATUS = _CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
"""The schema of a status."""


@dataclass
class Place:
    """A storage with a job on it, in a path with a blank, and the program in place of all images."""

    root: Path

    def __post_init__(self) -> None:
        (self.storage / fake_stage.FOLDER).mkdir(parents=True)
        program = self.root / "python"
        program.write_text(f"#!/bin/sh\nexec {sys.executable} -S '{fake_stage.__file__}'\n")
        program.chmod(0o755)
        self.options = [part for image in IMAGES for part in ("--python", f"{image}={program}")]
        self.asks()

    @property
    def storage(self) -> Path:
        return self.root / "a storage"

    @property
    def folder(self) -> JobFolder:
        return JobFolder(self.storage / JOB)

    @property
    def uid(self) -> str:
        return str((self.folder.read() or {})["metadata"]["uid"])

    def asks(self, **members: Any) -> None:
        """The manifest has these members of the spec."""
        metadata = {"name": JOB, "namespace": "ml"}
        spec = small_spec(**{"retries": {"failures": 0}, **members})
        thing = {
            "apiVersion": "distillation.dev/v1alpha1",
            "kind": "DistillationJob",
            "metadata": metadata,
            "spec": spec,
        }
        self.file.write_text(yaml.safe_dump(thing))

    @property
    def file(self) -> Path:
        return self.root / "job.yaml"

    def ends(self, stage: str, *ends: str) -> None:
        """How the starts of a stage end."""
        (self.storage / fake_stage.FOLDER / stage).write_text(json.dumps(ends))

    def starts(self, stage: str) -> list[str]:
        """The ends of the starts of a stage so far."""
        file = self.storage / fake_stage.FOLDER / fake_stage.STARTS
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.split(maxsplit=3)[3] for line in lines if line.split()[0] == stage]

    def arguments(self, *more: str) -> list[str]:
        return ["local", str(self.file), "--storage", str(self.storage), *self.options, *more]

    def local(self, *more: str) -> int:
        """In this process."""
        return main(self.arguments(*more))

    def begin(
        self, *more: str, by: Sequence[str] = (), terminal: int | None = None, **variables: str
    ) -> "subprocess.Popen[str]":
        """As a process of its own, with its output to be read. ``by``: a command that runs the one after it;
        ``terminal``: what it reads and writes instead.
        """
        path = os.pathsep.join(str(CHECKOUT / folder) for folder in ("operator", "images"))
        return subprocess.Popen(
            [*by, sys.executable, "-m", "distillation_operator", *self.arguments(*more)],
            env={**os.environ, "PYTHONPATH": path, **variables},
            stdin=terminal,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def stage(self, name: str) -> dict[str, Any]:
        """A stage's status."""
        status = (self.folder.read() or {}).get("status") or {"stages": []}
        return next((dict(stage) for stage in status["stages"] if stage["name"] == name), {})
