"""The status around the stages: phase, conditions, results, and the columns that ``kubectl get`` prints."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import ValidationError

from distillation_api import reasons
from distillation_api.resource import DistillationJob
from distillation_api.status import (
    Condition,
    ConditionType,
    DistillationJobStatus,
    JobPhase,
    Results,
    StageStatus,
)
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.graph import Pipeline
from distillation_operator.pipeline.names import is_of_preview
from distillation_operator.pipeline.status.chip_hours import chip_hours, chip_seconds
from distillation_operator.pipeline.status.pen import CONDITION_LIMIT, REASON_LIMIT, rewrite_job
from distillation_operator.pipeline.status.preview import GO_ON, preview_status, previewed
from distillation_operator.pipeline.status.times import format_time
from distillation_operator.pipeline.status.urgent_reason import urgent_reason


def summarize(
    job: DistillationJob,
    pipeline: Pipeline,
    before: DistillationJobStatus,
    stages: list[StageStatus],
    removed: list[StageStatus],
    suspension: Cause | None,
    is_held: bool,
    rejected_retry: Cause | None,
    now: datetime,
) -> DistillationJobStatus:
    """The whole status of an accepted job. ``removed``: stages of a preview that isn't asked for any more; ``is_held``:
    whether the job is to wait after its preview; ``rejected_retry``: why a retry that was asked for can't be honoured.
    """
    by_name = {stage.name: stage for stage in stages}
    preview = preview_status(pipeline, by_name)
    told = previewed(pipeline, by_name, preview)
    if suspension is None and is_held and told is not None and told.reason == reasons.PREVIEW_DONE.name:
        suspension = Cause(told.reason, f"{told.message} {GO_ON}")
    phase = _phase(stages, suspension is not None)
    failed = next(iter(_failed(stages)), None)
    ended = phase in ("Complete", "Failed")
    active = [stage for stage in stages if stage.state in ("Running", "Pending", "Queued")]
    running = [stage for stage in active if stage.state == "Running"]
    return DistillationJobStatus(
        observed_generation=job.metadata.generation,
        phase=phase,
        reason=urgent_reason(stages, suspension),
        method=_method(job),
        current_stage=",".join(stage.name for stage in active or _failed(stages))[:256] or None,
        progress=_percent(running),
        loss=_loss(stages),
        chip_hours=chip_hours(used) if (used := chip_seconds([*stages, *removed])) else None,
        accounted_time=before.accounted_time,
        start_time=before.start_time or format_time(now),
        completion_time=(before.completion_time or format_time(now)) if ended else None,
        conditions=_conditions(job, before, phase, failed, stages, suspension, told, rejected_retry, now),
        stages=[*stages, *removed],
        last_failures=before.last_failures,
        last_retry_request=before.last_retry_request,
        earlier_retries=before.earlier_retries,
        results=_results(pipeline, stages),
        preview=preview or before.preview,
    )


OF_RETRIES = {reasons.RETRY_REFUSED.name, reasons.RETRY_WAITS.name}
"""Reasons of the condition Accepted, which holds nevertheless, for a retry that was asked for."""


def accepted(rejected_retry: Cause | None) -> Cause:
    """Why a job is Accepted, and with it what becomes of a retry that can't be honoured."""
    return rejected_retry or Cause.of(reasons.SPEC_VALID, "The spec is understood.")


def rejected_status(
    job_status: DistillationJobStatus | None, generation: int, cause: Cause, now: datetime
) -> DistillationJobStatus:
    """The status of an object whose spec this operator can't read, or won't follow."""
    before = job_status or DistillationJobStatus()
    reason, message = cause.reason, cause.message
    conditions = [
        _condition(before, "Accepted", False, reason, message, generation, now),
        _condition(before, "Complete", False, reason, "", generation, now),
        _condition(before, "Failed", False, reasons.NOT_FAILED.name, "", generation, now),
        _condition(before, "Stalled", True, reason, message, generation, now),
        _condition(before, "Reconciling", False, reason, "", generation, now),
    ]
    return rewrite_job(
        before, observed_generation=generation, phase="Pending", reason=reason[:REASON_LIMIT], conditions=conditions
    )


def unread_status(raw: Mapping[str, Any], generation: int, cause: Cause, now: datetime) -> dict[str, Any]:
    """A status that this operator can't read, whole, and in its reason and conditions why nothing follows from it."""
    known = {condition["type"]: condition for condition in raw.get("conditions") or []}
    before = DistillationJobStatus(conditions=_readable(known.values()))
    told = [
        _condition(before, "Accepted", False, cause.reason, cause.message, generation, now),
        _condition(before, "Stalled", True, cause.reason, cause.message, generation, now),
        _condition(before, "Reconciling", False, cause.reason, "", generation, now),
    ]
    conditions = {**known, **{condition.type: condition.to_json_dict() for condition in told}}
    said = {"observedGeneration": generation, "reason": cause.reason[:REASON_LIMIT]}
    return {**raw, **said, "conditions": list(conditions.values())}


def _readable(conditions: Iterable[Any]) -> list[Condition]:
    found = []
    for condition in conditions:
        try:
            found.append(Condition.model_validate(condition))
        except ValidationError:
            continue
    return found


def error_conditions(
    before: DistillationJobStatus, generation: int, suspension: Cause | None, error: Cause, now: datetime
) -> list[Condition]:
    """The conditions of a job on which a decision failed: what was said before stands, but for the error itself and for
    why its pods are stopped, if they are.
    """
    told = {condition.type: condition for condition in before.conditions}
    if suspension is not None:
        told["Suspended"] = _condition(
            before, "Suspended", True, suspension.reason, suspension.message, generation, now
        )
    told["Reconciling"] = _condition(before, "Reconciling", False, error.reason, error.message, generation, now)
    told["Stalled"] = _condition(before, "Stalled", True, error.reason, error.message, generation, now)
    return list(told.values())


def without_internal_error(job: DistillationJob, status: DistillationJobStatus, now: datetime) -> DistillationJobStatus:
    """The status of a job that has ended, with the conditions of its end where they tell of a decision that failed."""
    if status.phase is None or all(c.reason != reasons.INTERNAL_ERROR.name for c in status.conditions):
        return status
    failed = next(iter(_failed(status.stages)), None)
    told = next((Cause(c.reason, c.message) for c in status.conditions if c.type == "Previewed"), None)
    return rewrite_job(
        status,
        reason=urgent_reason(status.stages, None),
        conditions=_conditions(job, status, status.phase, failed, status.stages, None, told, None, now),
    )


def _failed(stages: Iterable[StageStatus]) -> list[StageStatus]:
    return [stage for stage in stages if stage.state == "Failed"]


def _method(job: DistillationJob) -> Literal["Offline", "Online", "Mixed"]:
    objectives = {stage.objective for stage in job.spec.training.stages}
    if len(objectives) > 1:
        return "Mixed"
    return "Online" if objectives == {"LogitMatching"} else "Offline"


def _phase(stages: list[StageStatus], suspend: bool) -> JobPhase:
    states = {stage.state for stage in stages}
    if "Failed" in states:
        return "Failed"
    if states == {"Complete"}:
        return "Complete"
    if suspend:
        return "Suspended"
    if "Running" in states:
        return "Running"
    if "Queued" in states and "Pending" not in states:
        return "Queued"
    return "Running" if "Complete" in states else "Pending"


def _conditions(
    job: DistillationJob,
    before: DistillationJobStatus,
    phase: JobPhase,
    failed: StageStatus | None,
    stages: list[StageStatus],
    suspension: Cause | None,
    preview: Cause | None,
    rejected_retry: Cause | None,
    now: datetime,
) -> list[Condition]:
    generation = job.metadata.generation
    done = sum(stage.state == "Complete" for stage in stages)
    text = f"{done} of {len(stages)} stages are complete."
    failure = f"Stage {failed.name}: {failed.message or failed.reason}" if failed else ""
    failed_reason = (failed.reason or reasons.STAGE_FAILED.name) if failed else reasons.NOT_FAILED.name
    waiting = phase in ("Pending", "Queued", "Running")
    blocked = next((stage for stage in stages if stage.state == "Pending" and stage.message), None)
    reconciling = f"{blocked.name}: {blocked.message}" if blocked else text

    stopped = suspension if suspension is not None and phase == "Suspended" else Cause.of(reasons.NOT_SUSPENDED)

    def condition(kind: ConditionType, holds: bool, reason: str, message: str) -> Condition:
        return _condition(before, kind, holds, reason, message, generation, now)

    return [
        condition("Accepted", True, accepted(rejected_retry).reason, accepted(rejected_retry).message),
        condition("Suspended", phase == "Suspended", stopped.reason, stopped.message),
        *(
            [condition("Previewed", preview.reason == reasons.PREVIEW_DONE.name, preview.reason, preview.message)]
            if preview is not None
            else []
        ),
        condition(
            "Complete", phase == "Complete", reasons.STAGES_FINISHED.name if phase == "Complete" else phase, text
        ),
        condition("Failed", phase == "Failed", failed_reason, failure),
        condition("Reconciling", waiting, phase, reconciling if waiting else text),
        condition("Stalled", phase == "Failed", failed_reason, failure),
    ]


def _condition(
    before: DistillationJobStatus,
    kind: ConditionType,
    holds: bool,
    reason: str,
    message: str,
    generation: int,
    now: datetime,
) -> Condition:
    status = "True" if holds else "False"
    last = next((condition for condition in before.conditions if condition.type == kind), None)
    same = last is not None and last.status == status
    return Condition(
        type=kind,
        status=status,
        reason=reason[:REASON_LIMIT],
        message=message[:CONDITION_LIMIT],
        observed_generation=generation,
        last_transition_time=last.last_transition_time if last is not None and same else format_time(now),
    )


def _percent(running: list[StageStatus]) -> str | None:
    known = [stage.progress for stage in running if stage.progress is not None and stage.progress.total]
    if not known:
        return None
    return f"{100 * known[-1].done // known[-1].total}%"


def _loss(stages: list[StageStatus]) -> str | None:
    real = [stage.metrics or {} for stage in stages if not is_of_preview(stage.name)]
    losses = [metrics["loss"] for metrics in real if "loss" in metrics]
    return losses[-1] if losses else None


def _results(pipeline: Pipeline, stages: list[StageStatus]) -> Results | None:
    by_name = {stage.name: stage for stage in stages}
    evaluate, export = by_name.get(pipeline.evaluate.name), by_name.get(pipeline.export.name)
    publish = by_name.get(pipeline.publish.name) if pipeline.publish else None
    metrics = (evaluate.metrics if evaluate else None) or {}
    results = Results(
        cross_entropy_before=metrics.get("crossEntropyBefore"),
        cross_entropy_after=metrics.get("crossEntropyAfter"),
        cross_entropy_drop=metrics.get("crossEntropyDrop"),
        kl_before=metrics.get("klBefore"),
        kl_after=metrics.get("klAfter"),
        report=((evaluate.outputs if evaluate else None) or {}).get("report"),
        exported_model=((export.outputs if export else None) or {}).get("model"),
        published_model=((publish.outputs if publish else None) or {}).get("model"),
    )
    return results if results != Results() else None
