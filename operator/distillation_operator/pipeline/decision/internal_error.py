"""What holds for a job on which a decision failed by an error of ours: nothing new is started, what runs goes on, and
its pods are stopped where the user, the budget or the job's end wants that.

It builds no pipeline and reads as little as possible, so that what has broken the decision doesn't break it too.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from distillation_api import reasons
from distillation_api.status import DistillationJobStatus, StageStatus
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.decision.job import Decision
from distillation_operator.pipeline.decision.suspension import suspension
from distillation_operator.pipeline.observed import Child, ChildState, Pod
from distillation_operator.pipeline.status.chip_hours import PERIOD, chip_hours, chip_seconds, seconds_run
from distillation_operator.pipeline.status.job_status import error_conditions
from distillation_operator.pipeline.status.pen import rewrite_job, rewrite_stage, with_state
from distillation_operator.pipeline.status.times import format_time, parse_time


def internal_error(kind: str, mark: str) -> Cause:
    """Why nothing is decided. ``kind``: the name of the error's type, never its text, which may hold anybody's values;
    ``mark``: the id that stands beside it in the log.
    """
    return Cause.of(
        reasons.INTERNAL_ERROR,
        f"The operator fails to decide on this job: {kind[:64]}, id {mark}. Its log has the details beside that id. It "
        "tries again by itself; until it succeeds nothing new is started.",
    )


def decide_on_error(
    spec: Mapping[str, Any],
    generation: int,
    before: DistillationJobStatus,
    children: Sequence[Child],
    pods: Iterable[Pod],
    error: Cause,
    now: datetime,
) -> Decision:
    """The children to delete, and the status. ``spec``: as the API server has it; ``children``: ours, by their bare
    facts, as ``pods`` are.
    """
    now = now.replace(microsecond=0)
    stages, accounted = _account(before, children, pods, now)
    used = chip_seconds(stages)
    ended = before.phase in ("Complete", "Failed")
    stop = None if ended else suspension(spec.get("suspend") is True, _limit(spec), used)
    live = [child for child in children if child.state is ChildState.ACTIVE and not child.terminating]
    delete = live if ended or stop is not None else []
    if stop is not None:
        stages = [_stopped(stage, {child.stage for child in delete}) for stage in stages]
    status = rewrite_job(
        before,
        observed_generation=generation,
        phase="Suspended" if stop is not None else before.phase or "Pending",
        reason=error.reason,
        chip_hours=chip_hours(used) if used else before.chip_hours,
        accounted_time=accounted,
        conditions=error_conditions(before, generation, stop, error, now),
        stages=stages,
    )
    return Decision(status, delete=tuple(child.name for child in delete))


def _limit(spec: Mapping[str, Any]) -> float | None:
    budget = spec.get("budget")
    limit = budget.get("maxChipHours") if isinstance(budget, Mapping) else None
    return float(limit) if isinstance(limit, int | float) else None


def _account(
    before: DistillationJobStatus, children: Sequence[Child], pods: Iterable[Pod], now: datetime
) -> tuple[list[StageStatus], str | None]:
    """The stages with the chip-seconds since they were counted last, and until when they are counted now."""
    accounted = parse_time(before.accounted_time) if before.accounted_time else None
    stage_of = {child.name: child.stage for child in children}
    stages = {stage.name: stage for stage in before.stages}
    due = accounted is None or now - accounted >= PERIOD
    for pod in pods:
        seconds = seconds_run(pod, accounted, now) * pod.chips
        stage = stages.get(stage_of.get(pod.child, pod.stage))
        if seconds > 0 and stage is not None:
            due = due or pod.ended
            stages[stage.name] = rewrite_stage(stage, chip_seconds=(stage.chip_seconds or 0) + seconds)
    counted = list(stages.values())
    if not due or counted == before.stages:
        return before.stages, before.accounted_time
    return counted, format_time(now)


def _stopped(stage: StageStatus, stopped: set[str]) -> StageStatus:
    if stage.name not in stopped or stage.state in ("Complete", "Failed"):
        return stage
    return with_state(stage, "Suspended", Cause.of(reasons.JOB_SUSPENDED))
