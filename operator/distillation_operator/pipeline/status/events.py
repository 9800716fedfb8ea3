"""What is worth an Event: the difference between two statuses. A handful per transition, none for mere progress.

One failure is one Event: of an attempt that is followed by another ``StageRetried``, when it has ended; of the last one
the stage's own reason. What several stages wait for is one Event too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from distillation_api import reasons
from distillation_api.contract import MEASURED
from distillation_api.reasons.reason import Cost
from distillation_api.status import Condition, DistillationJobStatus, StageStatus
from distillation_operator.pipeline.cause import TRIED_AGAIN_SOON
from distillation_operator.pipeline.status.job_status import OF_RETRIES

_OF_NODES = {
    reason.name
    for reason in (
        reasons.SLICE_ERROR_DETECTED, reasons.MEGASCALE_HANG_DETECTED, reasons.NODE_MAINTENANCE,
        reasons.MAINTENANCE_SCHEDULED,
    )
}  # fmt: skip
"""Signs of what may end pods that run."""
_TAKEN_AWAY = {reasons.POD_DISRUPTED.name, reasons.POD_DELETED.name}


@dataclass(frozen=True)
class Event:
    """One Event about the DistillationJob."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def transitions(before: DistillationJobStatus | None, after: DistillationJobStatus) -> list[Event]:
    """The Events that show how ``before`` became ``after``."""
    known = {stage.name: stage for stage in (before.stages if before else [])}
    events = [*_of_retry(before, after)]
    events += [event for stage in after.stages for event in _of_stage(known.get(stage.name), stage)]
    events += _of_waiting(known, after.stages)
    phase = before.phase if before else None
    if after.phase != phase:
        events += _of_phase(after, phase)
    if (preview := _preview_done(after)) is not None and (before is None or _preview_done(before) is None):
        events.append(Event("Normal", preview.reason, preview.message))
    error = _internal_error(after)
    if error is not None and (before is None or _internal_error(before) is None):
        events.append(Event("Warning", error.reason, error.message))
    return events


def _internal_error(status: DistillationJobStatus) -> Condition | None:
    """The condition that tells of a decision that failed."""
    stalled = (c for c in status.conditions if c.type == "Stalled" and c.reason == reasons.INTERNAL_ERROR.name)
    return next(stalled, None)


def _preview_done(status: DistillationJobStatus) -> Condition | None:
    """The condition that tells of a complete preview."""
    return next((c for c in status.conditions if c.type == "Previewed" and c.status == "True"), None)


def _is_refused(status: DistillationJobStatus) -> bool:
    return any(c.type == "Accepted" and c.status == "False" for c in status.conditions)


def _of_retry(before: DistillationJobStatus | None, after: DistillationJobStatus) -> Iterator[Event]:
    """What became of the annotation by which a user asks for a retry."""
    request = after.last_retry_request
    if before is not None and request is not None and request != before.last_retry_request:
        stage = request.partition("/")[0]
        yield Event("Normal", reasons.RETRY_HEEDED.name, f"{stage} is retried, as {request!r} asks for.")
    told = _rejected_retry(after)
    if told is not None and (before is None or told != _rejected_retry(before)):
        yield Event("Normal" if told[0] == reasons.RETRY_WAITS.name else "Warning", *told)


def _rejected_retry(status: DistillationJobStatus) -> tuple[str, str] | None:
    said = ((c.reason, c.message) for c in status.conditions if c.type == "Accepted" and c.reason in OF_RETRIES)
    return next(said, None)


def _of_stage(before: StageStatus | None, after: StageStatus) -> list[Event]:
    was = before.state if before else "Waiting"
    message = after.message or ""
    if after.state == "Complete" and was != "Complete":
        shown = {name: value for name, value in (after.metrics or {}).items() if not name.startswith(MEASURED)}
        metrics = ", ".join(f"{name} {value}" for name, value in shown.items())
        found = " (found done in the storage)" if after.reused else ""
        end = f": {metrics}." if metrics else "."
        complete = f"{after.name} is complete{found}{end}"
        if after.reason:
            return [
                Event("Normal", reasons.STAGE_COMPLETE.name, complete),
                Event("Warning", after.reason, f"{after.name}: {message}"),
            ]
        return [Event("Normal", reasons.STAGE_COMPLETE.name, f"{complete} {message}".rstrip())]
    if after.state == "Complete" and after.reason == reasons.CHILD_FAILED_LATER.name and _reason_of(before) is None:
        return [Event("Warning", reasons.CHILD_FAILED_LATER.name, f"{after.name}: {message}")]
    if after.state == "Failed" and was != "Failed":
        return [Event("Warning", after.reason or reasons.STAGE_FAILED.name, f"{after.name} failed: {message}")]
    if before is not None and (why := _retried(before, after)) is not None:
        return [Event("Warning", reasons.STAGE_RETRIED.name, f"{after.name}, attempt {after.attempt}: {why}")]
    if after.state == "Running" and after.reason in _OF_NODES and after.reason != (before.reason if before else None):
        return [Event("Warning", after.reason, f"{after.name}: {message}")]
    return []


def _reason_of(stage: StageStatus | None) -> str | None:
    return stage.reason if stage is not None else None


def _retried(before: StageStatus, after: StageStatus) -> str | None:
    """Why a stage is tried again, or shards of it are, when that is new."""
    if _ends_attempt(after):
        return None if _ends_attempt(before) and before.attempt == after.attempt else after.message
    if after.attempts == before.attempts or before.state == "Failed" or _is_between_attempts(before):
        return None
    return _of_shards(before, after) or after.message or ""


def _is_between_attempts(stage: StageStatus) -> bool:
    return stage.state == "Pending" and (stage.message or "").startswith(TRIED_AGAIN_SOON)


def _ends_attempt(stage: StageStatus) -> bool:
    """True between an attempt that counts and the next one."""
    return _is_between_attempts(stage) and not _is_patient(stage)


def _is_patient(stage: StageStatus) -> bool:
    """True for a stage whose reason costs no attempt: something is in its way, what it needs is away, or another job
    makes it.
    """
    known = reasons.REASONS.get(stage.reason or "")
    cost = known.cost if known is not None else None
    if _is_between_attempts(stage):
        return cost in (Cost.AWAY, Cost.WAITING)
    return cost not in (Cost.RETRIED, Cost.DISRUPTION)


def _of_shards(before: StageStatus, after: StageStatus) -> str | None:
    """What shards that their Job tries again have come to, when that is new."""
    shards = after.shard_retries
    if shards is None or shards == before.shard_retries:
        return None
    why = next((f"; {stage.message}" for stage in (after, before) if stage.reason in _TAKEN_AWAY), "")
    return f"shards failed {shards.failures} times and were disrupted {shards.disruptions} times{why}"


def _of_waiting(known: Mapping[str, StageStatus], stages: Sequence[StageStatus]) -> Iterator[Event]:
    """What stages have come to wait for, and no other one was waiting for already."""
    told = {(stage.reason, stage.message) for stage in known.values() if stage.state == "Pending"}
    news: dict[tuple[str, str], list[str]] = {}
    for stage in stages:
        was = known.get(stage.name)
        if stage.state != "Pending" or not stage.message or not (stage.reason is None or _is_patient(stage)):
            continue
        if (was is None or stage.reason != was.reason) and (stage.reason, stage.message) not in told:
            reason = stage.reason or reasons.STAGE_PENDING.name
            news.setdefault((reason, stage.message), []).append(stage.name)
    for (reason, message), names in news.items():
        # A retry or a resume comes before the pods of before have ended.
        is_usual = reason == reasons.PREDECESSOR_RUNS.name
        yield Event("Normal" if is_usual else "Warning", reason, f"{', '.join(names)}: {message}")


def _of_phase(after: DistillationJobStatus, was: str | None) -> list[Event]:
    match after.phase:
        case "Complete":
            results = after.results
            scores = ""
            if results is not None and results.cross_entropy_after is not None:
                scores = f" Held-out cross-entropy {results.cross_entropy_before} -> {results.cross_entropy_after}."
            return [Event("Normal", reasons.COMPLETE.name, f"All stages are complete.{scores}")]
        case "Suspended":
            condition = next((c for c in after.conditions if c.type == "Suspended"), None)
            if condition is not None and condition.reason == reasons.BUDGET_REACHED.name:
                return [Event("Warning", condition.reason, condition.message)]
            if condition is not None and condition.reason == reasons.PREVIEW_DONE.name:
                # Told by the Event of the preview's end.
                return []
            return [Event("Normal", reasons.SUSPENDED.name, "The job is suspended; finished work is kept.")]
        case _ if was == "Suspended" and after.phase != "Failed" and not _is_refused(after):
            return [Event("Normal", reasons.RESUMED.name, "The job goes on.")]
    return []
