"""The training stage against the bare MaxText command: seconds of a step, and of all that comes after the first one.

The same rows, checkpoint and settings, on this machine, in one run; the two take turns, each first in every other
round. The bare command reads the rows by MaxText's own pipeline, as its user would have it, and ends with its last
save. The stage's seconds include what it does besides: it reads the trainer's log, tells progress, keeps history and
checkpoints, and publishes the result. Loading and compiling are in neither: both begin with the line of the first step.

The last line printed is JSON; the exit code is 1 when a ratio is above ``--most``.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.own_pipeline import BARE_MODULE, sft_arguments, written_rows
from demo.inputs.__main__ import CONVERSATIONS, write_inputs
from distillation_api.contract import StageResult, TrainProgram
from distillation_stages.data.tables import Row
from distillation_stages.maxtext.log import parse_step
from distillation_stages.runtime.storage import Storage
from e2e.stage_programs import environment, interpreter
from e2e.training_storage import Training, convert, packed, prepared, train_program

STUDENT = "models/smollm2-6-layers"
BATCH = 4
"""Sequences of a step, and their tokens, as in examples/quickstart.yaml."""
LENGTH = 112
UNSETTLED = 2
"""Steps that don't count: the first is compiled, and while the second runs the first is saved."""


@dataclass
class Clock:
    """When the lines of a training's steps came."""

    now: Callable[[], float] = time.monotonic
    first: float | None = None
    """When that of the first step did."""
    steps: list[float] = field(default_factory=list)
    """Seconds of each step, by MaxText's own count."""
    end: float | None = None

    def read(self, line: str) -> bool:
        """Take in a line of the log; False, since no line is waited for."""
        step = parse_step(line)
        if step is not None:
            self.first = self.now() if self.first is None else self.first
            self.steps.append(step.seconds)
        return False

    def stop(self) -> "Timed":
        """The process has ended. Raises ValueError when it has made too few steps to tell anything."""
        if self.first is None or len(self.steps) <= UNSETTLED:
            raise ValueError(f"{len(self.steps)} steps were made; more than {UNSETTLED} are needed")
        return Timed(statistics.median(self.steps[UNSETTLED:]), self.now() - self.first, len(self.steps))


@dataclass(frozen=True)
class Timed:
    """What one training took."""

    step: float
    """Seconds of a step: the median."""
    after_first: float
    """Seconds from the line of the first step to the end of the process."""
    steps: int


def ratio(ours: Sequence[float], bare: Sequence[float]) -> float:
    """Of the medians."""
    return round(statistics.median(ours) / statistics.median(bare), 4)


def figures(stage: Sequence[Timed], bare: Sequence[Timed]) -> dict[str, Any]:
    """What is printed: both kinds' seconds by round, and the ratios."""
    return {
        "rounds": len(stage),
        "steps": stage[0].steps,
        "secondsOfStep": {
            "stage": [round(one.step, 4) for one in stage],
            "bare": [round(one.step, 4) for one in bare],
        },
        "secondsAfterFirstStep": {
            "stage": [round(one.after_first, 2) for one in stage],
            "bare": [round(one.after_first, 2) for one in bare],
        },
        "ratioOfStep": ratio([one.step for one in stage], [one.step for one in bare]),
        "ratioAfterFirstStep": ratio([one.after_first for one in stage], [one.after_first for one in bare]),
    }


def rows_of(count: int) -> list[Row]:
    """The first exchanges of the demo's conversations, as often as is needed, each with a number of its own."""
    conversations = [json.loads(line)["messages"] for line in CONVERSATIONS.read_text().splitlines()]
    rows = []
    for row in range(count):
        question, answer = conversations[row % len(conversations)][:2]
        prompt = [{"role": "user", "content": f"{row}. {question['content']}"}]
        rows.append({"row": row, "prompt": prompt, "reference": answer["content"]})
    return rows


def program_of(steps: int) -> TrainProgram:
    """The training of both."""
    return train_program(
        steps,
        sequences_per_step=BATCH,
        per_device_batch_size=BATCH,
        max_target_length=LENGTH,
        learning_rate=3e-4,
    )


def laid_out(storage: Storage, folder: Path, steps: int) -> StageResult:
    """Fill the storage with what a training reads; the converted student."""
    write_inputs(storage.mount)
    storage.write_marker("fetch-student", StageResult(stage="fetch", fingerprint="f", outputs={"model": STUDENT}))
    converted = convert(storage, "student", folder / "convert")
    # One batch more than there are steps: MaxText fetches it before it looks whether it has ended.
    prepared(storage, rows_of((steps + 1) * BATCH))
    packed(storage, folder / "packed", epochs=1, sequences_per_step=BATCH, max_target_length=LENGTH)
    return converted


def time_stage(storage: Storage, folder: Path, steps: int, name: str) -> Timed:
    """A run of the stage's program."""
    clock = Clock()
    training = Training(storage, folder, program_of(steps), name)
    code = training.run_until(clock.read)
    timed = clock.stop()
    assert code == 0, training.output()
    return timed


def time_bare(arguments: Sequence[str], log: Path) -> Timed:
    """A run of MaxText's command."""
    clock = Clock()
    process = subprocess.Popen(
        [str(interpreter("trainer")), "-m", BARE_MODULE, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=log.parent,
        env=environment(HOME=str(log.parent), PYTHONUNBUFFERED="1", TF_CPP_MIN_LOG_LEVEL="3"),
    )
    assert process.stdout is not None
    with log.open("w") as out:
        for line in process.stdout:
            out.write(line)
            clock.read(line)
    code = process.wait()
    assert code == 0, log.read_text()[-4000:]
    return clock.stop()


def main() -> int:
    """Measure, print, and fail above ``--most``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=float, default=1.02, help="the ratio above which the exit code is 1")
    given = parser.parse_args()
    stage: list[Timed] = []
    bare: list[Timed] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        storage = Storage(folder / "storage")
        converted = laid_out(storage, folder, given.steps)
        rows = written_rows(storage, folder / "own")
        for turn in range(given.rounds):
            if turn % 2 == 0:
                stage.append(time_stage(storage, folder, given.steps, f"train-{turn}"))
            output = folder / f"bare-{turn}"
            arguments = sft_arguments(storage, program_of(given.steps), given.steps, converted, rows, output)
            bare.append(time_bare(arguments, folder / f"bare-{turn}.log"))
            if turn % 2:
                stage.append(time_stage(storage, folder, given.steps, f"train-{turn}"))
            print(f"round {turn + 1}: stage {stage[-1]}, bare {bare[-1]}", file=sys.stderr, flush=True)
    report = figures(stage, bare)
    print(json.dumps(report))
    return 0 if max(report["ratioOfStep"], report["ratioAfterFirstStep"]) <= given.most else 1


if __name__ == "__main__":
    sys.exit(main())
