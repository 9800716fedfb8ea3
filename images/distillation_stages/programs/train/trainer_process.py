"""One start of MaxText's trainer as a process group of its own, watched to its end."""

import contextlib
import math
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

from distillation_api import reasons
from distillation_api.accelerators import PLATFORMS
from distillation_api.contract import (
    EXIT_TERMINATED,
    GRACE_SECONDS,
    GRACE_SECONDS_ENV,
    TrainProgram,
)
from distillation_stages.maxtext import checkpoints
from distillation_stages.maxtext.log import Step, TrainerLog
from distillation_stages.maxtext.start import BATCHES_ENV
from distillation_stages.programs.train.record import Record
from distillation_stages.programs.train.speed import tokens_per_step
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.reporting import Reporter, say
from distillation_stages.runtime.start_up import StartUpClock

KEPT_WHILE_TRAINING = 2


SECONDS_TO_END = 5.0


SECONDS_FOR_THE_REST = 15.0
"""Of the pod's last minute, for what is to do when a terminated trainer has saved or is killed; of fifteen seconds a
third."""


STEPS_WITHOUT_WEIGHTS = 5
"""So many steps in a row with nothing to learn end the training: it would go on like that for hours."""


class TrainerProcess:
    """One start of the trainer, watched to its end."""

    def __init__(
        self,
        stage: str,
        program: TrainProgram,
        steps: int,
        done: int,
        record: Record | None,
        clock: StartUpClock,
        lost: threading.Event | None = None,
    ) -> None:
        """``record``: None on all hosts but the first. ``lost``: set when the folder is another job's: then the trainer
        is killed, and nothing is written any more.
        """
        self._lost = lost or threading.Event()
        self._program = program
        self._steps = steps
        self._done = done
        self._record = record
        self._clock = clock
        self._reporter = Reporter(stage, "steps", clock)
        self.log = TrainerLog(has_peers=program.hosts * program.slices > 1)
        self._without_weights = 0
        self._newest = done
        self._tokens_per_step = tokens_per_step(program)

    def run(self, command: list[str], scratch: Path) -> None:
        """Run the trainer to its end. Raises when its log says why it failed."""
        if self._record is not None:
            self._record.start()
            self._reporter.progress(self._done, self._steps)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            cwd=scratch,
            env=self._environment(scratch),
        )
        # A loader's worker that outlives the trainer would keep its log open, and so the reading of it.
        threading.Thread(target=_end_workers, args=(process,), daemon=True).start()
        threading.Thread(target=_kill_when, args=(self._lost, process), daemon=True).start()
        try:
            with _passing_on_termination(process, self._lost) as told:
                exit_code = self._follow(process)
        finally:
            end_group(process)
            if self._record is not None and not self._lost.is_set():
                self._record.write()
        if told or self._lost.is_set():
            raise SystemExit(EXIT_TERMINATED)
        if exit_code == EXIT_TERMINATED:
            # Another host was told to end, and all saved the same step.
            last = self.log.last_step()
            reached = f"after step {last.number} of {self._steps}" if last else "before its first step"
            raise StageError(
                reasons.INTERRUPTED, f"training was ended {reached}; it goes on from its newest checkpoint"
            )
        self._raise_failure(exit_code)

    def _follow(self, process: "subprocess.Popen[str]") -> int:
        """Read the trainer's log to its end, or until waiting for that is useless; its exit code."""
        assert process.stdout is not None
        for line in process.stdout:
            self._take(line.rstrip())
            if self._must_stop:
                return 1
        return process.wait()

    def _take(self, line: str) -> None:
        if line and "Config param " not in line:
            say(line)
        step = self.log.read(line)
        if step is None:
            return
        self._note_start()
        self._without_weights = self._without_weights + 1 if step.total_weights == 0 else 0
        if self._record is not None and not self._lost.is_set():
            self._note(step, self._record)

    def _note_start(self) -> None:
        start = self.log.start
        if start is not None:
            self._clock.took("imports", start.imports)
            self._clock.took("weights", start.weights)
            self._clock.took("compile", start.compile)
            self._clock.found(start.hits, start.misses)
        self._clock.first()

    def _note(self, step: Step, record: Record) -> None:
        if math.isnan(step.tokens_per_second) and step.seconds > 0:
            # As MaxText counts: with the padding.
            step = replace(step, tokens_per_second=round(self._tokens_per_step / step.seconds, 3))
        record.add(step)
        metrics = {name: value for name, value in step.metrics().items() if name != "learningRate"}
        self._reporter.progress(min(step.number, self._steps), self._steps, metrics)
        saved = record.history_file.parent / "checkpoints"
        newest = checkpoints.newest_step(saved) or 0
        if newest > self._newest:
            # The steps up to a checkpoint are never done again, so their history must stand next to it.
            self._newest = newest
            record.write()
            checkpoints.keep_newest(saved, KEPT_WHILE_TRAINING)
        elif step.number % self._program.checkpoint_period == 0 or step.number in (1, self._steps):
            # Its checkpoint is being saved: whoever goes on from it must find its history.
            record.write()
        else:
            record.write_when_due()

    @property
    def _must_stop(self) -> bool:
        """True when waiting for the trainer's own end is useless: the other hosts would wait for this one for ever."""
        return self._without_weights >= STEPS_WITHOUT_WEIGHTS or self.log.not_finite or self._data_refused

    @property
    def _data_refused(self) -> bool:
        return self.log.data_error is not None and not self.log.data_ended

    def _raise_failure(self, exit_code: int) -> None:
        if self._without_weights >= STEPS_WITHOUT_WEIGHTS:
            last = self.log.last_step()
            raise StageError(
                reasons.NO_TRAINABLE_TOKENS,
                f"{STEPS_WITHOUT_WEIGHTS} steps in a row, up to step {last.number if last else 0}, had no token to "
                f"learn: prompts fill maxTargetLength={self._program.max_target_length}; raise it",
            )
        failure = self.log.failure(exit_code, self._steps)
        if failure is not None:
            raise failure

    def _environment(self, scratch: Path) -> dict[str, str]:
        """The trainer's environment: everything it writes on the side goes to the scratch folder."""
        environment = os.environ | {
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(scratch / "huggingface"),
            "HF_DATASETS_CACHE": str(scratch / "huggingface" / "datasets"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONUNBUFFERED": "1",
            BATCHES_ENV: str((self._steps - self._done) * self._program.gradient_accumulation_steps),
        }
        if self._program.hardware == "cpu":
            environment["JAX_PLATFORMS"] = PLATFORMS["cpu"].jax
        return environment


@contextlib.contextmanager
def _passing_on_termination(process: "subprocess.Popen[str]", lost: threading.Event) -> Iterator[list[int]]:
    """Pass a SIGTERM on to the trainer, and to it alone: its loader's processes must live until it has saved.

    One that comes of a lost claim isn't passed on: the trainer would save. The list holds the signals that came. The
    reading of the log goes on meanwhile, or lines would be lost.
    """
    told: list[int] = []
    timer = threading.Timer(seconds_to_save(), process.kill)

    def pass_on(signum: int, frame: FrameType | None) -> None:
        if not told:
            timer.start()
        told.append(signum)
        if not lost.is_set():
            process.terminate()

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)
        timer.cancel()


def seconds_to_save() -> float:
    """So long a terminated trainer may take for the step it is at and a checkpoint."""
    grace = float(os.environ.get(GRACE_SECONDS_ENV, GRACE_SECONDS))
    return grace - max(SECONDS_TO_END, min(SECONDS_FOR_THE_REST, grace / 4))


def _kill_when(lost: threading.Event, process: "subprocess.Popen[str]") -> None:
    # Not where the signal is handled: the main thread may wait for the storage that has cost the claim.
    lost.wait()
    if process.returncode is None:
        _signal_group(process, signal.SIGKILL)


def _end_workers(process: "subprocess.Popen[str]") -> None:
    process.wait()
    _signal_group(process, signal.SIGKILL)


def _signal_group(process: "subprocess.Popen[str]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def end_group(process: "subprocess.Popen[str]") -> None:
    """End the trainer and all it has started, and wait for it."""
    signals = (signal.SIGTERM, signal.SIGKILL) if process.poll() is None else (signal.SIGKILL,)
    for number in signals:
        _signal_group(process, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)
