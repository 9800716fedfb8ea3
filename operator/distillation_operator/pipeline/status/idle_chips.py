"""Chips that are paid for and do nothing yet: of each pod the time up to its first token or step, by part.

What a pod says of its start is a sum already, so it isn't added up as time goes by: the newest attempt is counted anew
each time, and takes the place of what was counted of it before.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from distillation_api.contract import StartUp
from distillation_api.status import IdleOfAttempt, StageStatus
from distillation_operator.pipeline.names import child_name
from distillation_operator.pipeline.observed import Observed, Pod
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.status.pen import rewrite_stage

Seconds = dict[str, int]


def count_idle(
    job: str, pipeline: Mapping[str, Stage], stages: Mapping[str, StageStatus], observed: Observed, now: datetime
) -> dict[str, StageStatus]:
    """The stages with what is known of their pods' starts."""
    counted = dict(stages)
    for name, status in stages.items():
        stage = pipeline.get(name)
        child = observed.children.get(child_name(job, name, status.attempt))
        if stage is None or not stage.placement.chips_per_host or child is None or not child.ours:
            continue
        seconds = _idle(stage, observed.pods_of(child.name), observed, now)
        counted[name] = _with_attempt(status, seconds)
    return counted


def _with_attempt(status: StageStatus, seconds: Seconds) -> StageStatus:
    before = status.idle_of_attempt
    if before is not None and before.attempt > status.attempt:
        return status
    of_attempt = before.seconds if before is not None and before.attempt == status.attempt else {}
    # A pod that is gone, and what it has said with it, was counted when it was there.
    if sum(seconds.values()) <= sum(of_attempt.values()):
        return status
    whole = status.chip_seconds_idle or {}
    parts = {part: whole.get(part, 0) - of_attempt.get(part, 0) + seconds.get(part, 0) for part in {**whole, **seconds}}
    return rewrite_stage(
        status,
        chip_seconds_idle={part: max(0, value) for part, value in parts.items()},
        idle_of_attempt=IdleOfAttempt(attempt=status.attempt, seconds=seconds),
    )


def _idle(stage: Stage, pods: Iterable[Pod], observed: Observed, now: datetime) -> Seconds:
    """Of all pods of an attempt. Of those that work as one the first tells for all."""
    chips = stage.placement.chips_per_host
    if not stage.is_indexed:
        pods, chips = [pod for pod in pods if pod.index == pod.slice == 0], stage.placement.chips
    started = (_of_pod(pod, observed, now) for pod in pods)
    return added_up({part: int(seconds * chips) for part, seconds in of_pod.items()} for of_pod in started)


def _of_pod(pod: Pod, observed: Observed, now: datetime) -> dict[str, float]:
    """Seconds by part, together never more than the pod has run: a program may print anything."""
    start = _start_up_of(pod, observed)
    if start is None or pod.started is None:
        return {}
    begun = max(pod.started, pod.container_started or pod.started)
    end = max(begun, pod.finished or now)
    left = (end - begun).total_seconds()
    parts = {"podStart": (begun - pod.started).total_seconds()}
    told = {"imports": start.imports, "weights": start.weights, "compile": start.compile, "other": start.other}
    for part, seconds in told.items():
        parts[part] = min(seconds, left)
        left -= parts[part]
    return parts


def _start_up_of(pod: Pod, observed: Observed) -> StartUp | None:
    """What a pod has said last. One that found the work done has started nothing."""
    if pod.result is not None:
        return pod.result.start_up
    if pod.failure is not None and pod.failure.start_up is not None:
        return pod.failure.start_up
    line = observed.progress.get(pod.name)
    return line.start_up if line is not None else None


def idle_seconds(stages: Iterable[StageStatus]) -> Seconds:
    """Of all the stages, by part."""
    return added_up(stage.chip_seconds_idle or {} for stage in stages)


def added_up(parts: Iterable[Mapping[str, int]]) -> Seconds:
    """The sum of each part."""
    added: Counter[str] = Counter()
    for one in parts:
        added.update(one)
    return dict(added)
