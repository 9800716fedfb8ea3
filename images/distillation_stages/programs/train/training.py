"""Train the student with MaxText's SFT or distillation trainer, and prove that it was trained.

The trainer runs as a process group of its own: a termination ends all of it. Its exit code is not believed: a stage is
done when a whole checkpoint of the last step stands and its log shows steps that had something to learn.
"""

import contextlib
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import assert_never

from distillation_api import reasons
from distillation_api.accelerators import PLATFORMS
from distillation_api.contract import (
    EXIT_TERMINATED,
    SCRATCH_MOUNT,
    LogitMatching,
    StageResult,
    StageSpec,
    SupervisedFineTuning,
    TrainProgram,
)
from distillation_stages.maxtext import checkpoints, distillation_config
from distillation_stages.maxtext.command import (
    RUN_NAME,
    TRAINER_MODULE,
    TrainingPaths,
    config_file,
    devices_of,
    jax_cache,
    rows_per_step,
    training_arguments,
    versions,
)
from distillation_stages.maxtext.log import Step, TrainerLog
from distillation_stages.maxtext.start import BATCHES_ENV
from distillation_stages.maxtext.training_tokenizer import write_training_tokenizer
from distillation_stages.models.rendering import Renderer
from distillation_stages.programs.train.data import (
    Rendered,
    check,
    endings,
    order,
    read_conversations,
    render,
    rows_needed,
    rows_of_step,
    steps_of_epochs,
    write_parts,
)
from distillation_stages.programs.train.record import Record, Summary
from distillation_stages.runtime.environment import set_environment
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.reporting import Reporter, say
from distillation_stages.runtime.storage import Storage, remove_temporaries

KEPT_WHILE_TRAINING = 2
SECONDS_TO_END = 5.0
SECONDS_TO_SAVE = 45.0
"""So long a terminated trainer may take for the step it is at and a checkpoint; the pod has a minute in all."""
PACKING_TOLERANCE = 1.1
STEPS_WITHOUT_WEIGHTS = 5
"""So many steps in a row with nothing to learn end the training: it would go on like that for hours."""


@dataclass(frozen=True)
class Host:
    """This process among those of the training job."""

    index: int
    count: int

    @property
    def leads(self) -> bool:
        """Host 0 cleans up, verifies and reports."""
        return self.index == 0

    @classmethod
    def from_environment(cls, slices: int) -> "Host":
        """As the JobSet's pods are told; the hosts of a TPU slice are named by GKE."""
        workers = len(os.environ.get("TPU_WORKER_HOSTNAMES", "localhost").split(","))
        in_job = int(os.environ.get("PROCESSES_IN_JOB", workers))
        index = int(os.environ.get("JOB_INDEX", "0")) * in_job + int(os.environ.get("JOB_COMPLETION_INDEX", "0"))
        return cls(index, int(os.environ.get("JAX_PROCESS_COUNT", in_job * slices)))


@dataclass(frozen=True)
class Inputs:
    """What a run trains on, the same on every host and after every restart."""

    rows: Sequence[Rendered]
    rows_per_step: float
    """How many of them a step reads."""
    steps: int
    counts: dict[str, int]


def run(spec: StageSpec, storage: Storage) -> StageResult | None:
    """Train up to the last step, from the newest whole checkpoint when there is one."""
    program = spec.program
    assert isinstance(program, TrainProgram)
    started = time.monotonic()
    host = Host.from_environment(program.slices)
    start = storage.require_marker(program.start)
    run_directory = storage.at(spec.output) / RUN_NAME
    saved = run_directory / "checkpoints"
    scratch = Path(tempfile.mkdtemp(prefix="train-", dir=os.environ.get("SCRATCH", SCRATCH_MOUNT)))
    try:
        inputs = _inputs(program, storage, scratch)
        newest = checkpoints.newest_step(saved) or 0
        record = Record(run_directory, newest)
        if newest < inputs.steps:
            if host.leads:
                remove_temporaries(run_directory)
                for name in checkpoints.remove_broken(saved):
                    say(f"removed {name}: an interrupted save")
            _write_data(program, inputs, host, newest, scratch)
            command = _command(program, inputs.steps, storage, start, storage.at(spec.output), scratch)
            say(f"inputs ready after {time.monotonic() - started:.1f} s; starting MaxText from step {newest}")
            _Training(spec.stage, program, inputs.steps, newest, record if host.leads else None).run(command, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if not host.leads:
        return None
    summary = record.summary
    checkpoint = _proven(inputs.steps, saved, summary)
    checkpoints.keep_newest(saved, 1)
    checkpoints.drop_optimizer_state(checkpoint)
    record.write()
    losses = {"firstLoss": summary.first_loss, "loss": summary.last_loss}
    result = StageResult(
        stage=spec.stage,
        fingerprint=spec.fingerprint,
        outputs={
            "checkpoint": storage.relative(checkpoint / checkpoints.ITEM),
            "history": storage.relative(record.history_file),
        },
        counts={
            "steps": inputs.steps,
            "restarts": max(0, summary.starts - 1),
            # After a restart training continues from a checkpoint, so the steps since then are done twice.
            "repeatedSteps": max(0, summary.steps - inputs.steps),
            **inputs.counts,
        },
        metrics={name: value for name, value in losses.items() if value is not None},
        settings=start.settings,
        versions=versions(),
        seconds=round(time.monotonic() - started, 1),
    )
    storage.write_marker(spec.output, result)
    return result


def _inputs(program: TrainProgram, storage: Storage, scratch: Path) -> Inputs:
    """Render and check the rows, and write the tokenizer below ``scratch``; refuse what couldn't be trained on."""
    set_environment()
    model = storage.at(storage.require_marker(program.tokenizer).outputs["model"])
    template = Renderer.load(model).tokenizer
    rows = [render(template, *conversation) for conversation in read_conversations(program.data, storage)]
    batch = rows_per_step(program)
    if len(rows) < batch:
        raise StageError(
            reasons.TOO_FEW_ROWS,
            f"{program.data.kind} has {len(rows)} rows to train on, one step needs {batch} (perDeviceBatchSize "
            f"{program.per_device_batch_size}); lower the batch size or give more rows",
        )
    tokenizer = write_training_tokenizer(model, scratch / "tokenizer", lambda copy: endings(rows, copy))
    checked = check(rows, tokenizer, program.max_target_length)
    per_step = rows_of_step(batch, program.packing, program.max_target_length, checked.tokens_per_row)
    steps = steps_of(program, len(rows), per_step)
    say(
        f"{len(rows)} rows, {per_step:.1f} per step, {steps} steps; of {checked.rows} checked "
        f"{checked.prompts_too_long} have a prompt that fills maxTargetLength={program.max_target_length} and "
        f"{checked.truncated} an answer that is cut there"
    )
    counts = {
        "rows": len(rows),
        "checkedRows": checked.rows,
        "promptTooLong": checked.prompts_too_long,
        "answerCut": checked.truncated,
    }
    return Inputs(rows, per_step, steps, counts)


def steps_of(program: TrainProgram, rows: int, rows_per_step: float) -> int:
    """The steps to train. Raises StageError for more than the rows give in the epochs that are allowed."""
    epochs = program.epochs or 1
    if program.steps is None:
        return steps_of_epochs(epochs, rows, rows_per_step)
    # Packed, the rows of a step are estimated.
    estimated = PACKING_TOLERANCE if program.packing else 1.0
    if program.steps * rows_per_step > rows * epochs * estimated:
        raise StageError(
            reasons.TOO_FEW_ROWS,
            f"{program.steps} steps of {rows_per_step:.4g} rows read {program.steps * rows_per_step:.0f}, but "
            f"{program.data.kind} has {rows}, each read at most {epochs} times; lower steps to "
            f"{int(rows * epochs / rows_per_step)} or set epochs to {math.ceil(program.steps * rows_per_step / rows)}",
        )
    return program.steps


def _write_data(program: TrainProgram, inputs: Inputs, host: Host, done: int, scratch: Path) -> None:
    """Write the rows that the steps after ``done`` read, one file per host."""
    batch = rows_per_step(program)
    # The SFT trainer fetches a batch before it looks whether it has ended; the other one trains on all that there is.
    spare = 1 if isinstance(program.objective, SupervisedFineTuning) else 0
    count = rows_needed(inputs.steps - done + spare, batch, program.packing, inputs.rows_per_step)
    positions = order(len(inputs.rows), int(done * inputs.rows_per_step), count)
    write_parts(inputs.rows, positions, host.count, batch // host.count, scratch / "data")


def _command(
    program: TrainProgram, steps: int, storage: Storage, start: StageResult, output: Path, scratch: Path
) -> list[str]:
    """The trainer's command line."""
    paths = TrainingPaths(
        checkpoint=storage.at(start.outputs["checkpoint"]),
        tokenizer=scratch / "tokenizer",
        data=scratch / "data",
        output=output,
        jax_cache=jax_cache(storage.mount, scratch / "jax", program.hardware),
    )
    python = [sys.executable, "-m", TRAINER_MODULE]
    match program.objective:
        case SupervisedFineTuning():
            settings = training_arguments(program, steps, start.settings, paths)
            return [*python, "sft", str(config_file("post_train/sft.yml")), *settings]
        case LogitMatching() as matching:
            converted = storage.require_marker(matching.teacher)
            teacher = distillation_config.Checkpoint(storage.at(converted.outputs["checkpoint"]), converted.settings)
            student = distillation_config.Checkpoint(paths.checkpoint, start.settings)
            config = distillation_config.configuration(program, matching, steps, student, teacher, paths)
            path = distillation_config.write(config, scratch / distillation_config.CONFIG_NAME)
            return [*python, "distill", str(path)]
        case unknown:
            assert_never(unknown)


class _Training:
    """One start of the trainer, watched to its end."""

    def __init__(self, stage: str, program: TrainProgram, steps: int, done: int, record: Record | None) -> None:
        """``record``: None on all hosts but the first."""
        self._program = program
        self._steps = steps
        self._done = done
        self._record = record
        self._reporter = Reporter(stage, "steps")
        self._log = TrainerLog()
        self._without_weights = 0
        self._newest = done
        self._tokens_per_step = rows_per_step(program) * program.max_target_length / devices_of(program)

    def run(self, command: list[str], scratch: Path) -> None:
        """Run the trainer to its end. Raises when its log tells why it failed."""
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
        try:
            with _passing_on_termination(process) as told:
                exit_code = self._follow(process)
        finally:
            end_group(process)
            if self._record is not None:
                self._record.write()
        if told:
            raise SystemExit(EXIT_TERMINATED)
        if exit_code == EXIT_TERMINATED:
            # Another host was told to end, and all saved the same step.
            last = self._log.last_step()
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
            if self._hopeless:
                return 1
        return process.wait()

    def _take(self, line: str) -> None:
        if line and "Config param " not in line:
            say(line)
        step = self._log.read(line)
        if step is None:
            return
        self._without_weights = self._without_weights + 1 if step.total_weights == 0 else 0
        if self._record is not None:
            self._note(step, self._record)

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
            # The steps up to a checkpoint are never done again, so their history must stand beside it.
            self._newest = newest
            record.write()
            checkpoints.keep_newest(saved, KEPT_WHILE_TRAINING)
        elif step.number % self._program.checkpoint_period == 0 or step.number in (1, self._steps):
            # Its checkpoint is being saved: whoever goes on from it must find its history.
            record.write()
        else:
            record.write_when_due()

    @property
    def _hopeless(self) -> bool:
        """True when waiting for the trainer's own end is useless: the other hosts would wait for this one for ever."""
        return self._without_weights >= STEPS_WITHOUT_WEIGHTS or self._log.not_finite or self._data_refused

    @property
    def _data_refused(self) -> bool:
        return self._log.data_error is not None and not self._log.data_ended

    def _raise_failure(self, exit_code: int) -> None:
        if self._without_weights >= STEPS_WITHOUT_WEIGHTS:
            last = self._log.last_step()
            raise StageError(
                reasons.NO_TRAINABLE_TOKENS,
                f"{STEPS_WITHOUT_WEIGHTS} steps in a row, up to step {last.number if last else 0}, had no token to "
                f"learn: prompts fill maxTargetLength={self._program.max_target_length}; raise it",
            )
        failure = self._log.failure(exit_code, self._steps)
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
def _passing_on_termination(process: "subprocess.Popen[str]") -> Iterator[list[int]]:
    """Pass a SIGTERM on to the trainer, and to it alone: its loader's processes must live until it has saved.

    The list holds the signals that came. The reading of the log goes on meanwhile, or lines would be lost.
    """
    told: list[int] = []
    timer = threading.Timer(SECONDS_TO_SAVE, process.kill)

    def pass_on(signum: int, frame: FrameType | None) -> None:
        if not told:
            timer.start()
        told.append(signum)
        process.terminate()

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)
        timer.cancel()


def _end_workers(process: "subprocess.Popen[str]") -> None:
    process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def end_group(process: "subprocess.Popen[str]") -> None:
    """End the trainer and all it has started, and wait for it."""
    signals = (signal.SIGTERM, signal.SIGKILL) if process.poll() is None else (signal.SIGKILL,)
    for number in signals:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)


def _proven(steps: int, saved: Path, summary: Summary) -> Path:
    """The checkpoint of the last step. Raises when the training did not come that far or learnt nothing."""
    newest = checkpoints.newest_step(saved)
    if newest is None:
        raise StageError(reasons.NO_TRAINING_STEPS, f"MaxText ended without a checkpoint of any of {steps} steps")
    # Killed right after its last save, a run may have saved more than its log had told; what it told must be right.
    if summary.steps and not summary.trained_steps:
        raise StageError(
            reasons.NO_TRAINABLE_TOKENS, f"none of {summary.steps} steps had a token to learn; raise maxTargetLength"
        )
    if summary.last_loss is not None and not math.isfinite(summary.last_loss):
        raise StageError(reasons.LOSS_NOT_FINITE, f"the last loss is {summary.last_loss}; lower the learning rate")
    if newest != steps:
        raise StageError(
            reasons.STOPPED_EARLY,
            f"asked for {steps} steps, the newest whole checkpoint is of step {newest} (the log's last step: "
            f"{summary.last_step})",
        )
    return saved / str(newest)
