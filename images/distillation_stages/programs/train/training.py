"""Train the student with MaxText's SFT or distillation trainer, and prove that it was trained.

The trainer runs as a process group of its own: a termination ends all of it. Its exit code is not believed: a stage is
done when a whole checkpoint of the last step stands and its log shows steps that had something to learn.
"""

import math
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

from distillation_api import reasons
from distillation_api.contract import (
    SCRATCH_MOUNT,
    StageResult,
    StageSpec,
    TrainProgram,
)
from distillation_stages.maxtext import checkpoints
from distillation_stages.maxtext.command import (
    RUN_NAME,
    versions,
)
from distillation_stages.maxtext.log import TrainerLog
from distillation_stages.programs.train.inputs import Host, read_inputs, require_checkpoints, trainer_command
from distillation_stages.programs.train.record import Record, Summary
from distillation_stages.programs.train.speed import measured_training
from distillation_stages.programs.train.trainer_process import TrainerProcess
from distillation_stages.runtime.claim import claimed, end_this_program
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.reporting import say
from distillation_stages.runtime.start_up import StartUpClock
from distillation_stages.runtime.start_up_record import write_start_up
from distillation_stages.runtime.storage import Storage, remove_temporaries


def run(spec: StageSpec, storage: Storage) -> StageResult | None:
    """Train up to the last step, from the newest whole checkpoint when there is one."""
    program = spec.program
    assert isinstance(program, TrainProgram)
    clock = StartUpClock()
    with clock.attached_to_failures():
        return _as_host(spec, program, storage, clock)


def _as_host(spec: StageSpec, program: TrainProgram, storage: Storage, clock: StartUpClock) -> StageResult | None:
    host = Host.from_environment(program.slices)
    if not host.leads:
        _train(spec, program, host, storage, clock, threading.Event())
        return None
    lost = threading.Event()

    def give_up() -> None:
        # First: whoever ends by the signal must know that it is to save nothing.
        lost.set()
        end_this_program()

    # All hosts write into one directory, which attempts share: its checkpoints are gone on from.
    with claimed(storage.at(spec.output), lost=give_up):
        # Another job may have ended it since it was looked for.
        return storage.finished(spec.output, spec.work) or _train(spec, program, host, storage, clock, lost)


def _train(
    spec: StageSpec, program: TrainProgram, host: Host, storage: Storage, clock: StartUpClock, lost: threading.Event
) -> StageResult | None:
    """``lost``: set when the folder is another job's."""
    started = time.monotonic()
    start = storage.require_marker(program.start)
    run_directory = storage.at(spec.output) / RUN_NAME
    saved = run_directory / "checkpoints"
    log = TrainerLog()
    scratch = Path(tempfile.mkdtemp(prefix="train-", dir=os.environ.get("SCRATCH", SCRATCH_MOUNT)))
    try:
        inputs = read_inputs(program, storage, host.leads)
        if host.leads:
            require_checkpoints(program, storage)
        newest = checkpoints.newest_step(saved) or 0
        record = Record(run_directory, newest)
        if newest < inputs.steps:
            if host.leads:
                remove_temporaries(run_directory)
                for name in checkpoints.remove_broken(saved):
                    say(f"removed {name}: an interrupted save")
            reading = inputs.reading(program, newest)
            command = trainer_command(program, reading, storage, start, storage.at(spec.output), scratch)
            say(f"inputs ready after {time.monotonic() - started:.1f} s; starting MaxText from step {newest}")
            led = record if host.leads else None
            process = TrainerProcess(spec.stage, program, inputs.steps, newest, led, clock, lost)
            process.run(command, scratch)
            log = process.log
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if not host.leads:
        return None
    summary = record.summary
    checkpoint = _proven(inputs.steps, saved, summary)
    checkpoints.keep_newest(saved, 1)
    checkpoints.drop_optimizer_state(checkpoint)
    record.write()
    found = measured_training(program, log, record.history).metrics() if program.measures else {}
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
        metrics={name: value for name, value in losses.items() if value is not None} | found,
        settings=start.settings,
        versions=versions(),
        seconds=round(time.monotonic() - started, 1),
    )
    if newest < inputs.steps:
        result = result.model_copy(update={"start_up": clock.read()})
        write_start_up(storage.at(spec.output), clock.read())
    storage.write_marker(spec.output, result)
    return result


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
