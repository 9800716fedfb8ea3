"""One decision: a job, what is observed of its children and the time become what to create, what to delete, the next
status, and when to look again.

The decision is level-triggered: it depends on no event and remembers nothing but the status. A stage that the status
calls Complete is never looked at again, so a child removed by its TTL or by hand is not made anew.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from distillation_api import reasons
from distillation_api.resource import DistillationJob
from distillation_api.spec import DistillationJobSpec
from distillation_api.status import DistillationJobStatus, StageStatus
from distillation_operator.pipeline.decision.retry_request import reopened, request_of
from distillation_operator.pipeline.decision.row_budget import too_few_rows
from distillation_operator.pipeline.decision.stage import StageView, refuse_stage, view_stage
from distillation_operator.pipeline.graph import build_pipeline
from distillation_operator.pipeline.names import child_name
from distillation_operator.pipeline.observed import Observed
from distillation_operator.pipeline.recorded_outputs import recorded_outputs
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.status.chip_hours import account, chip_hours, chip_seconds, is_reached, time_left
from distillation_operator.pipeline.status.estimate import end_of, job_time_left
from distillation_operator.pipeline.status.estimate import time_left as stage_time_left
from distillation_operator.pipeline.status.job_status import Suspension, summarize
from distillation_operator.pipeline.status.times import format_time, parse_time

PROGRESS_PERIOD = timedelta(seconds=5)
QUEUE_PERIOD = timedelta(seconds=15)
"""What Kueue says is asked for so often: its Workloads aren't watched."""
KEPT_FAILURES = 5


@dataclass(frozen=True)
class Creation:
    """A child to create."""

    name: str
    stage: Stage
    attempt: int


@dataclass(frozen=True)
class Decision:
    """What to do and to tell."""

    status: DistillationJobStatus
    create: tuple[Creation, ...] = ()
    delete: tuple[str, ...] = ()
    """Names of children to delete, pods included."""
    look_again: timedelta | None = None
    """Time after which to decide anew even if nothing is heard."""
    list_first: bool = False
    """Nothing is decided: first the children and pods are to be listed, since what the watches told may be behind."""


def decide(job: DistillationJob, observed: Observed, now: datetime) -> Decision:
    """The next step of a job."""
    if job.metadata.deletion_timestamp is not None:
        return Decision(status=job.status or DistillationJobStatus())
    request, useless = request_of(job), None
    if request is not None:
        told, useless = reopened(job.status or DistillationJobStatus(), request)
        job = job.model_copy(update={"status": told})
    if _is_terminal(job.status):
        return _after_the_end(job, observed, useless, now)
    status = job.status or DistillationJobStatus()
    pipeline = build_pipeline(job.spec, recorded_outputs(status.stages, observed))
    accounted = parse_time(status.accounted_time) if status.accounted_time else None
    before, accounted = account(pipeline, {stage.name: stage for stage in status.stages}, observed, accounted, now)
    used = chip_seconds(before.values())
    stop = _suspension(job.spec, used)
    if stop is not None:
        job = job.model_copy(update={"spec": job.spec.model_copy(update={"suspend": True})})
    views: dict[str, StageView] = {}
    for stage in pipeline.values():
        ready = all(views[need].status.state == "Complete" for need in stage.needs)
        view = view_stage(job, stage, before.get(stage.name), observed, ready, now)
        problem = too_few_rows(stage, pipeline, {name: view.status for name, view in views.items()})
        views[stage.name] = view if problem is None else refuse_stage(view, problem, now)
    if any(view.list_first for view in views.values()):
        return Decision(status=job.status or DistillationJobStatus(), list_first=True)
    failed = any(view.status.state == "Failed" for view in views.values())
    if failed:
        views = {name: _stopped(view) for name, view in views.items()}
    create: list[Creation] = []
    delete: list[str] = []
    waits: list[timedelta] = []
    for name, view in views.items():
        delete += view.delete
        if view.create is not None:
            attempt = view.create
            create.append(Creation(child_name(job.metadata.name, name, attempt), pipeline[name], attempt))
        if view.look_again is not None:
            waits.append(view.look_again)
    if failed:
        delete = [child.name for child in observed.children.values() if _is_live(child.name, observed)]
    if any(view.status.state == "Running" for view in views.values()):
        waits.append(PROGRESS_PERIOD)
    if any(view.status.state == "Queued" for view in views.values()):
        waits.append(QUEUE_PERIOD)
    left = time_left(job.spec.budget, pipeline, observed, used)
    if left is not None:
        waits.append(left)
    failures = [*status.last_failures, *(view.failure for view in views.values() if view.failure is not None)]
    job = job.model_copy(
        update={
            "status": status.model_copy(
                update={
                    "accounted_time": format_time(accounted) if accounted else None,
                    "last_failures": failures[-KEPT_FAILURES:],
                }
            )
        }
    )
    estimated = {name: _estimated(view.status, now) for name, view in views.items()}
    status = summarize(job, list(estimated.values()), stop, useless, now)
    if _is_terminal(status):
        waits.append(timedelta(seconds=job.spec.ttl_seconds_after_finished))
    else:
        end = end_of(now, job_time_left(pipeline, estimated))
        status = status.model_copy(update={"estimated_completion_time": end})
    return Decision(create=tuple(create), delete=tuple(delete), status=status, look_again=min(waits) if waits else None)


def _estimated(stage: StageStatus, now: datetime) -> StageStatus:
    return stage.model_copy(update={"estimated_completion_time": end_of(now, stage_time_left(stage))})


def _suspension(spec: DistillationJobSpec, used: int) -> Suspension | None:
    """Why no pod may run, if so."""
    if spec.suspend:
        return Suspension(reasons.SUSPENDED_BY_USER, "")
    if is_reached(spec.budget, used):
        assert spec.budget is not None
        return Suspension(
            reasons.BUDGET_REACHED,
            f"{chip_hours(used)} chip-hours are used, budget.maxChipHours is {spec.budget.max_chip_hours:g}; finished "
            "work is kept, raise it to go on.",
        )
    return None


def _stopped(view: StageView) -> StageView:
    """A stage of a job that has failed: nothing new is started, and what runs is ended."""
    status = view.status
    if status.state not in ("Complete", "Failed", "Waiting"):
        status = status.model_copy(
            update={
                "state": "Waiting",
                "reason": reasons.JOB_FAILED.name,
                "message": "Another stage failed.",
                "progress": None,
            }
        )
    return replace(view, status=status, create=None, delete=(), look_again=None)


def _is_live(name: str, observed: Observed) -> bool:
    child = observed.children[name]
    return child.ours and child.ended_at is None and not child.terminating


def _is_terminal(status: DistillationJobStatus | None) -> bool:
    return status is not None and status.phase in ("Complete", "Failed")


def _after_the_end(job: DistillationJob, observed: Observed, useless_retry: str | None, now: datetime) -> Decision:
    """A job that has ended changes no more; its children are removed when their time is over."""
    status = job.status or DistillationJobStatus()
    if useless_retry is not None:
        status = _with_accepted(status, useless_retry)
    if status.observed_generation != job.metadata.generation:
        status = _with_generation(status, job.metadata.generation)
    ended = parse_time(status.completion_time) if status.completion_time else now
    left = ended + timedelta(seconds=job.spec.ttl_seconds_after_finished) - now
    live = [child for child in observed.children.values() if child.ours and not child.terminating]
    stray = tuple(child.name for child in live if child.ended_at is None)
    if left > timedelta(0):
        return Decision(delete=stray, status=status, look_again=left if live else None)
    return Decision(delete=tuple(child.name for child in live), status=status)


def _with_accepted(status: DistillationJobStatus, message: str) -> DistillationJobStatus:
    conditions = [c.model_copy(update={"message": message}) if c.type == "Accepted" else c for c in status.conditions]
    return status.model_copy(update={"conditions": conditions})


def _with_generation(status: DistillationJobStatus, generation: int) -> DistillationJobStatus:
    conditions = [c.model_copy(update={"observed_generation": generation}) for c in status.conditions]
    return status.model_copy(update={"observed_generation": generation, "conditions": conditions})
