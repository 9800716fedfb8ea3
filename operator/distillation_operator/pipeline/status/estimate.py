"""When a stage, and the job, will end, from the rates that its programs measure; to whole minutes."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from distillation_api.contract import Measurements, PackProgram, TrainProgram
from distillation_api.status import StageStatus
from distillation_operator.pipeline.names import PREVIEW
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.stages.pack import packed_for
from distillation_operator.pipeline.status.times import format_time


def time_left(stage: StageStatus) -> timedelta | None:
    """Of a running stage; None while no rate is known."""
    progress = stage.progress
    if stage.state != "Running" or progress is None or progress.rate is None or not progress.total:
        return None
    rate = float(progress.rate)
    return _seconds((progress.total - progress.done) / rate) if rate > 0 else None


_LONGEST = 1e10
"""Seconds, some three hundred years: a rate near 0 would make more than a timedelta holds."""


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=max(0.0, min(seconds, _LONGEST)))


def job_time_left(pipeline: Mapping[str, Stage], stages: Mapping[str, StageStatus]) -> timedelta | None:
    """Of generation and all training, which take nearly all of the time; None while one of them can't be known.

    A training stage that is still to come is taken to be as quick as the one that runs, or else as its preview was.
    """
    lengthy = [stage for stage in pipeline.values() if stage.is_indexed or stage.is_training]
    pace = _seconds_per_step(pipeline, stages)
    total = timedelta(0)
    begun = False
    for stage in lengthy:
        status = stages[stage.name]
        if status.state == "Complete":
            continue
        left = time_left(status)
        each = pace or _previewed_pace(stage, stages)
        if left is None and isinstance(stage.program, TrainProgram) and each is not None:
            steps = _steps(stage.program, pipeline, stages)
            left = _seconds(steps * each) if steps else None
        if left is None:
            return None
        total, begun = total + left, True
    return total if begun else None


def _steps(training: TrainProgram, pipeline: Mapping[str, Stage], stages: Mapping[str, StageStatus]) -> int | None:
    packed = packed_for(training, pipeline)
    asked = packed.program.steps if isinstance(packed.program, PackProgram) else None
    return asked or (stages[packed.name].counts or {}).get("steps")


def _seconds_per_step(pipeline: Mapping[str, Stage], stages: Mapping[str, StageStatus]) -> float | None:
    for stage in pipeline.values():
        progress = stages[stage.name].progress
        if stage.is_training and progress is not None and progress.rate is not None and float(progress.rate) > 0:
            return 1 / float(progress.rate)
    return None


def _previewed_pace(stage: Stage, stages: Mapping[str, StageStatus]) -> float | None:
    """Seconds per step of the stage's preview, where there was one."""
    preview = stages.get(PREVIEW + stage.name)
    return Measurements.read(preview.metrics or {}).unit_seconds if preview is not None else None


def end_of(now: datetime, left: timedelta | None) -> str | None:
    """The end, at the next whole minute; None for what lies beyond a hundred years."""
    if left is None or left > timedelta(days=36_500):
        return None
    return format_time((now + left).replace(second=0, microsecond=0) + timedelta(minutes=1))
