"""What is worth an Event: the difference between two statuses. A handful per transition, none for mere progress."""

from dataclasses import dataclass
from typing import Literal

from distillation_api import reasons
from distillation_api.contract import MEASURED
from distillation_api.status import Condition, DistillationJobStatus, StageStatus

_OF_NODES = {
    reason.name
    for reason in (
        reasons.SLICE_ERROR_DETECTED, reasons.MEGASCALE_HANG_DETECTED, reasons.NODE_MAINTENANCE,
        reasons.MAINTENANCE_SCHEDULED,
    )
}  # fmt: skip
"""Signs of what may end pods that run."""


@dataclass(frozen=True)
class Event:
    """One Event about the DistillationJob."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def transitions(before: DistillationJobStatus | None, after: DistillationJobStatus) -> list[Event]:
    """The Events that show how ``before`` became ``after``."""
    known = {stage.name: stage for stage in (before.stages if before else [])}
    events = [event for stage in after.stages for event in _of_stage(known.get(stage.name), stage)]
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


def _of_stage(before: StageStatus | None, after: StageStatus) -> list[Event]:
    was = before.state if before else "Waiting"
    message = after.message or ""
    if after.state == "Complete" and was != "Complete":
        shown = {name: value for name, value in (after.metrics or {}).items() if not name.startswith(MEASURED)}
        metrics = ", ".join(f"{name} {value}" for name, value in shown.items())
        found = " (found done in the storage)" if after.reused else ""
        end = f": {metrics}" if metrics else "."
        complete = f"{after.name} is complete{found}{end}"
        if after.reason:
            return [
                Event("Normal", reasons.STAGE_COMPLETE.name, complete),
                Event("Warning", after.reason, f"{after.name}: {message}"),
            ]
        return [Event("Normal", reasons.STAGE_COMPLETE.name, f"{complete} {message}".rstrip())]
    if after.state == "Failed" and was != "Failed":
        return [Event("Warning", after.reason or reasons.STAGE_FAILED.name, f"{after.name} failed: {message}")]
    if before is not None and after.attempts != before.attempts:
        why = _of_shards(before, after) or after.message or ""
        return [Event("Warning", reasons.STAGE_RETRIED.name, f"{after.name}, attempt {after.attempt}: {why}")]
    if after.state == "Running" and was != "Running" and after.reason is None:
        return [Event("Normal", reasons.STAGE_RUNNING.name, f"{after.name} runs.")]
    told = before.reason if before else None
    if after.state == "Pending" and after.message and after.reason != told:
        return [Event("Warning", after.reason or reasons.STAGE_PENDING.name, f"{after.name}: {after.message}")]
    if after.state == "Running" and after.reason in _OF_NODES and after.reason != told:
        return [Event("Warning", after.reason, f"{after.name}: {message}")]
    return []


def _of_shards(before: StageStatus, after: StageStatus) -> str | None:
    """What shards that their Job tries again have come to, when that is new."""
    shards = after.shard_retries
    if shards is None or shards == before.shard_retries:
        return None
    return f"shards failed {shards.failures} times and were disrupted {shards.disruptions} times"


def _of_phase(after: DistillationJobStatus, was: str | None) -> list[Event]:
    match after.phase:
        case "Complete":
            results = after.results
            scores = ""
            if results is not None and results.cross_entropy_after is not None:
                scores = f" Held-out cross-entropy {results.cross_entropy_before} -> {results.cross_entropy_after}."
            return [Event("Normal", reasons.COMPLETE.name, f"All stages are complete.{scores}")]
        case "Failed":
            condition = next((c for c in after.conditions if c.type == "Failed"), None)
            return [Event("Warning", reasons.FAILED.name, condition.message if condition else "The job failed.")]
        case "Suspended":
            condition = next((c for c in after.conditions if c.type == "Suspended"), None)
            if condition is not None and condition.reason == reasons.BUDGET_REACHED.name:
                return [Event("Warning", condition.reason, condition.message)]
            if condition is not None and condition.reason == reasons.PREVIEW_DONE.name:
                # Told by the Event of the preview's end.
                return []
            return [Event("Normal", reasons.SUSPENDED.name, "The job is suspended; finished work is kept.")]
        case _ if was == "Suspended" and not _is_refused(after):
            return [Event("Normal", reasons.RESUMED.name, "The job goes on.")]
    return []
