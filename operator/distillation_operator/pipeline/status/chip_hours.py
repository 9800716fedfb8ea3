"""Chip-hours: what the pods of TPU stages have run, added up in the status as time goes by.

Pods go (with their node, by the TTL of their Job), so their time is counted while they are there: each time the part
since the last count. A pod that ran and went while no operator was about is the only one that is missed.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from distillation_api.spec import Budget
from distillation_api.status import StageStatus
from distillation_operator.pipeline.observed import Observed, Pod
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.status.pen import rewrite_stage

PERIOD = timedelta(seconds=30)
"""Running pods are counted so often: each count is a write of the status."""
SECONDS_PER_HOUR = 3600


def account(
    pipeline: Mapping[str, Stage],
    stages: Mapping[str, StageStatus],
    observed: Observed,
    accounted: datetime | None,
    now: datetime,
) -> tuple[dict[str, StageStatus], datetime | None]:
    """The stages with the chip-seconds since ``accounted``, and until when they are counted now."""
    now = now.replace(microsecond=0)
    counted = dict(stages)
    due = accounted is None or now - accounted >= PERIOD
    added: dict[str, int] = {}
    for pod, name, chips in _on_chips(pipeline, observed):
        seconds = seconds_run(pod, accounted, now)
        if seconds > 0 and (name in counted or name in pipeline):
            added[name] = added.get(name, 0) + seconds * chips
            # The pod may be gone the next time.
            due = due or pod.ended
    if not added or not due:
        return counted, accounted
    for name, seconds in added.items():
        known = counted.get(name) or StageStatus(name=name, state="Waiting", fingerprint=pipeline[name].fingerprint)
        counted[name] = rewrite_stage(known, chip_seconds=(known.chip_seconds or 0) + seconds)
    return counted, now


def have_chips(pipeline: Mapping[str, Stage], observed: Observed) -> bool:
    """Whether a pod with chips runs."""
    return any(not pod.ended for pod, _, _ in _on_chips(pipeline, observed))


def next_count(
    pipeline: Mapping[str, Stage], observed: Observed, accounted: datetime | None, now: datetime
) -> timedelta | None:
    """The time until pods are to be counted again; None while none has chips."""
    if not have_chips(pipeline, observed):
        return None
    left = PERIOD if accounted is None else accounted + PERIOD - now
    return left if left > timedelta(0) else PERIOD


def _on_chips(pipeline: Mapping[str, Stage], observed: Observed) -> Iterable[tuple[Pod, str, int]]:
    """Pods with chips, their stages and how many chips. A pod outlives its child by what it takes to save, and a stage
    of a preview may be asked for no more.
    """
    for pod in observed.pods:
        child = observed.children.get(pod.child)
        if pod.started is None or (child is not None and not child.ours):
            continue
        name = child.stage if child is not None else pod.stage
        stage = pipeline.get(name)
        chips = stage.placement.chips_per_host if stage is not None else pod.chips
        if chips:
            yield pod, name, chips


def seconds_run(pod: Pod, accounted: datetime | None, now: datetime) -> int:
    """Seconds that the pod has run since ``accounted``."""
    if pod.started is None:
        return 0
    begin = pod.started if accounted is None else max(pod.started, accounted)
    end = now if pod.finished is None and not pod.ended else min(pod.finished or begin, now)
    return int((end - begin).total_seconds())


def chip_seconds(stages: Iterable[StageStatus]) -> int:
    """Of all the stages."""
    return sum(stage.chip_seconds or 0 for stage in stages)


def chip_hours(seconds: int) -> str:
    """For people, with one digit: a chip-hour is a chip for an hour."""
    return f"{seconds / SECONDS_PER_HOUR:.1f}"


def time_left(
    budget: Budget | None, pipeline: Mapping[str, Stage], observed: Observed, seconds: int
) -> timedelta | None:
    """When the budget will be reached, if the pods that run now go on; None when it won't."""
    chips = sum(chips for pod, _, chips in _on_chips(pipeline, observed) if pod.running and not pod.ended)
    if budget is None or not chips:
        return None
    return timedelta(seconds=max(1.0, (budget.max_chip_hours * SECONDS_PER_HOUR - seconds) / chips))
