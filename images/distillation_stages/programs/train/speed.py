"""How fast a training goes, for the estimate that a preview makes."""

import math
import statistics

from distillation_api.contract import Measurements, TrainProgram
from distillation_stages.maxtext.command import devices_of
from distillation_stages.maxtext.log import TrainerLog
from distillation_stages.programs.train.record import History
from distillation_stages.runtime.measuring import measured


def tokens_per_step(program: TrainProgram) -> float:
    """Of one device, with the padding."""
    return program.sequences_per_step * program.max_target_length / devices_of(program)


def measured_training(program: TrainProgram, log: TrainerLog, history: History) -> Measurements:
    """Of a preview: what a step takes once all is compiled, and the devices.

    ``log``: of this attempt, which may have had few steps left or none. Then the ``history`` of all attempts tells the
    steps' time; the units stay those of this attempt, since its seconds are.
    """
    # The first steps compile.
    seconds = [step.seconds for _, step in sorted(log.steps.items())[1:] if math.isfinite(step.seconds)]
    if not seconds:
        each = tokens_per_step(program)
        seconds = [each / rate for step, rate in history.token_rates().items() if step > 1]
    devices = log.devices
    return measured(
        len(log.steps),
        statistics.median(seconds) if seconds else None,
        devices=devices.count if devices else None,
        device_memory=devices.peak_bytes if devices else None,
    )
