"""What the tests of training share: a storage as it is before training, with small random models; one stage in it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillation_api.contract import (
    ConvertProgram,
    PackProgram,
    StageResult,
    StageSpec,
    SupervisedFineTuning,
    TrainData,
    TrainProgram,
)
from distillation_stages.data.tables import PREPARED, Row, write_table
from distillation_stages.runtime.storage import Storage
from e2e import compiled_programs
from e2e.stage_programs import environment, interpreter, run_stage

MODEL = "llama2-7b"


def small_model(storage: Storage, role: str, seed: int) -> None:
    """A random Llama as the fetch stage of that role leaves it."""
    made_model(storage, role, "small_llama.py", str(seed))


def made_model(storage: Storage, role: str, maker: str, *arguments: str) -> None:
    """What a script of this folder makes, as the fetch stage of that role leaves it."""
    model = storage.mount / f"fetch-{role}" / "model"
    model.mkdir(parents=True)
    script = Path(__file__).with_name(maker)
    command = [str(interpreter("converter")), str(script), str(model), *arguments]
    subprocess.run(command, check=True, env=environment(), timeout=300)
    outputs = {"model": f"fetch-{role}/model"}
    storage.write_marker(f"fetch-{role}", StageResult(stage="fetch", fingerprint="f", outputs=outputs))


def copy_of(storage: Storage, mount: Path) -> Storage:
    """Another storage with the same files, as hard links: no program writes into a file that another has published."""
    shutil.copytree(storage.mount, mount, copy_function=os.link)
    return Storage(mount)


def convert(storage: Storage, role: str, log: Path) -> StageResult:
    """The model of that role as a MaxText checkpoint."""
    program = ConvertProgram(model=f"fetch-{role}", max_text_model=MODEL)
    spec = StageSpec(stage=f"convert-{role}", fingerprint="c", output=f"convert-{role}", program=program)
    return run_stage(interpreter("converter"), spec, storage.mount, log)


def prepared(storage: Storage, rows: list[Row], name: str = "prepare") -> None:
    """A dataset as the prepare stage leaves it."""
    write_table(storage.mount / name / "train" / "part-00000.parquet", PREPARED, rows)
    storage.write_marker(name, StageResult(stage="prepare", fingerprint="p", outputs={"train": f"{name}/train"}))


def counting_rows(count: int) -> list[Row]:
    """Rows of different lengths."""
    return [
        {
            "row": row,
            "prompt": [{"role": "user", "content": f"Count to {row}."}],
            "reference": ", ".join(map(str, range(1, row + 1))),
        }
        for row in range(1, count + 1)
    ]


BATCH = 2

MOST_STEPS = 500
"""Of a training that a test runs."""


def packed(storage: Storage, log: Path, name: str = "packed", **changes: Any) -> StageResult:
    """The prepared rows as sequences, of which a training takes any number of steps: it reads ``NAME-STEPS``."""
    program = PackProgram(
        student="fetch-student",
        data=TrainData(kind="OriginalDataset", dataset="prepare"),
        max_target_length=64,
        packing=False,
        sequences_per_step=BATCH,
        epochs=10,
    ).model_copy(update=changes)
    spec = StageSpec(stage="pack-one", fingerprint="s", output=name, program=program)
    result = run_stage(interpreter("converter"), spec, storage.mount, log)
    for steps in range(1, min(result.counts["steps"], MOST_STEPS) + 1):
        counts = {**result.counts, "steps": steps}
        # Its parts lie in another directory than the marker.
        storage.write_marker(f"{name}-{steps}", result.model_copy(update={"counts": counts, "parts": {}}))
    return result


def train_program(steps: int = 8, packed: str = "packed", **changes: Any) -> TrainProgram:
    """Small steps on one CPU process."""
    program = TrainProgram(
        start="convert-student",
        tokenizer="fetch-student",
        data=f"{packed}-{steps}",
        sequences_per_step=BATCH,
        per_device_batch_size=BATCH,
        max_target_length=64,
        learning_rate=1e-3,
        warmup_steps_fraction=0.1,
        checkpoint_period=1000,
        packing=False,
        dtype="float32",
        weight_dtype="float32",
        parallelism={"fsdp": 1},
        objective=SupervisedFineTuning(),
        hardware="cpu",
    )
    return program.model_copy(update=changes)


def trainers_of(program: "subprocess.Popen[str]") -> list[int]:
    """The process groups of what the program has started; in a pod they would end with the container."""
    listed = subprocess.run(["pgrep", "-P", str(program.pid)], capture_output=True, text=True, check=False)
    return [int(group) for group in listed.stdout.split()]


@dataclass
class Training:
    """One host of a training stage as a process that can be killed."""

    storage: Storage
    folder: Path
    program: TrainProgram
    name: str = "train"
    variables: dict[str, str] = field(default_factory=dict)
    starts: int = 0
    process: "subprocess.Popen[str] | None" = None

    @property
    def log(self) -> Path:
        """The termination message of the newest start; its output lies next to it."""
        return self.folder / f"{self.name}-{self.starts}"

    def start(self) -> "subprocess.Popen[str]":
        """Start the program in a process group of its own."""
        compiled_programs.lend(self.storage.mount)
        self.starts += 1
        spec = StageSpec(stage=self.name, fingerprint="t", output=self.name, program=self.program)
        variables = {
            "STAGE_SPEC": spec.model_dump_json(by_alias=True),
            "STORAGE_MOUNT": str(self.storage.mount),
            "TERMINATION_LOG": str(self.log),
            "SCRATCH": str(self.folder),
            "HOME": str(self.folder),
            **self.variables,
        }
        return subprocess.Popen(
            [str(interpreter("trainer")), "-m", "distillation_stages"],
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self) -> StageResult:
        """To the end."""
        code = self.run_until(lambda line: False)
        assert code == 0, self.output()
        compiled_programs.keep(self.storage.mount)
        return self.result()

    def run_until(self, told: Callable[[str], bool], number: signal.Signals = signal.SIGKILL) -> int:
        """Send the signal when the program prints the line that is waited for; its exit code.

        SIGKILL is sent to all that it has started, as the kubelet does.
        """
        self.process = process = self.start()
        assert process.stdout is not None
        sent = False
        with self.log.with_suffix(".out").open("w") as out:
            for line in process.stdout:
                out.write(line)
                if told(line) and not sent:
                    sent = True
                    self._send(process, number)
        return process.wait(120)

    def _send(self, process: "subprocess.Popen[str]", number: signal.Signals) -> None:
        compiled_programs.about_to_kill(self.storage.mount)
        if number == signal.SIGKILL:
            for group in (process.pid, *trainers_of(process)):
                os.killpg(group, number)
        else:
            process.send_signal(number)

    def stop_trainer(self) -> None:
        """From here on the newest start makes no step; the program that watches the trainer goes on."""
        assert self.process is not None
        compiled_programs.about_to_kill(self.storage.mount)
        for group in trainers_of(self.process):
            os.killpg(group, signal.SIGSTOP)

    def result(self) -> StageResult:
        """The marker."""
        result = self.storage.read_marker(self.name)
        assert result is not None
        return result

    def output(self) -> str:
        """What the newest start printed last."""
        return self.log.with_suffix(".out").read_text()[-4000:]
