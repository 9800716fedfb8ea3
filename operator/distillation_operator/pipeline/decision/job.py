"""One decision: a job, what is observed of its children and the time become what to create, what to delete, the next
status, and when to look again.

The decision is level-triggered: it depends on no event and remembers nothing but the status. A stage that the status
calls Complete is never looked at again, so a child removed by its TTL or by hand is not made again.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from distillation_api import reasons
from distillation_api.resource import DistillationJob
from distillation_api.status import DistillationJobStatus, Failure, StageStatus
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.decision.at_rest import clean_up
from distillation_operator.pipeline.decision.job_ends import live_children, repeating_children, with_late_failures
from distillation_operator.pipeline.decision.preview_hold import (
    held_stages,
    holding,
    removed_children,
    removed_stages,
)
from distillation_operator.pipeline.decision.retry_request import apply_retry
from distillation_operator.pipeline.decision.row_budget import check_row_budget
from distillation_operator.pipeline.decision.stage import StageDecision, decide_stage, fail_without_pod
from distillation_operator.pipeline.decision.superseded import superseded
from distillation_operator.pipeline.decision.suspension import suspension
from distillation_operator.pipeline.graph import Pipeline
from distillation_operator.pipeline.names import child_name
from distillation_operator.pipeline.observed import Observed
from distillation_operator.pipeline.recorded_outputs import begun_stages, recorded_outputs
from distillation_operator.pipeline.spec_graph import SpecGraph
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.status.chip_hours import account, chip_seconds, have_chips, next_count, time_left
from distillation_operator.pipeline.status.estimate import end_of, job_time_left
from distillation_operator.pipeline.status.estimate import time_left as stage_time_left
from distillation_operator.pipeline.status.idle_chips import count_idle
from distillation_operator.pipeline.status.job_status import OF_RETRIES, accepted, summarize, without_internal_error
from distillation_operator.pipeline.status.pen import rewrite_condition, rewrite_job, rewrite_stage, with_state
from distillation_operator.pipeline.status.times import format_time, parse_time
from distillation_operator.pipeline.status.urgent_reason import urgent_reason

SIGNS_PERIOD = timedelta(seconds=5)
"""What nodes say of pods with chips is asked for so often: nodes aren't watched."""
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
    delete_once_written: tuple[str, ...] = ()
    """Names of children to delete once the status is written: it says what they alone prove."""
    requeue_after: timedelta | None = None
    """Time after which to look again even if nothing is heard."""
    due_after: timedelta | None = None
    """Time after which to decide again even if nothing has changed."""
    needs_fresh_lists: bool = False
    """Nothing is decided: first the children and pods are to be listed, since what the watches told may be behind."""

    @property
    def has_acts(self) -> bool:
        """True when there is something to create or to delete."""
        return bool(self.create or self.delete or self.delete_once_written)

    @property
    def is_end(self) -> bool:
        """True when the job is Complete or Failed."""
        return self.status.has_ended


def is_over(job: DistillationJob) -> bool:
    """True for a job that has ended, unless an annotation asks for it to be taken up again."""
    return apply_retry(job.metadata.annotations, job.status or DistillationJobStatus())[0].has_ended


def decide(job: DistillationJob, observed: Observed, now: datetime, graph: SpecGraph | None = None) -> Decision:
    """The next step of a job. ``graph``: of its spec, where the caller keeps it from one decision to the next."""
    before = job.status or DistillationJobStatus()
    if job.metadata.deletion_timestamp is not None:
        return Decision(before)
    status, rejected_retry = apply_retry(job.metadata.annotations, before)
    if status.has_ended:
        return _after_the_end(job, status, observed, rejected_retry, now)
    begun = begun_stages(status.stages, observed)
    pipeline = (graph or SpecGraph(job.spec)).pipeline(recorded_outputs(status.stages, observed), begun)
    known, accounted = _account(job, pipeline, status, observed, now)
    used = chip_seconds(known.values())
    stop = suspension(job.spec.suspend, job.spec.budget.max_chip_hours if job.spec.budget else None, used)
    held = held_stages(job.spec.preview, pipeline, begun)
    stages = _decide_stages(job, pipeline, known, observed, held, stop is not None, now)
    repeating = repeating_children([stage.status for stage in stages.values()], observed)
    if any(stage.needs_fresh_lists for stage in stages.values()) or (repeating and not observed.fresh):
        return Decision(before, needs_fresh_lists=True)
    failed = any(stage.status.state == "Failed" for stage in stages.values())
    if failed:
        stages = {name: _stopped(stage) for name, stage in stages.items()}
    after = summarize(
        job,
        pipeline,
        rewrite_job(
            status,
            accounted_time=format_time(accounted) if accounted else None,
            last_failures=_last_failures(status, stages.values()),
        ),
        with_late_failures(
            (_with_estimate(known.get(name), stage.status, now) for name, stage in stages.items()), observed
        ),
        removed_stages(pipeline, known),
        stop,
        bool(held),
        rejected_retry,
        now,
    )
    if not after.has_ended:
        after = rewrite_job(after, estimated_completion_time=_estimate(pipeline, before, after, now))
    if failed:
        delete = [name for name in live_children(after.stages, observed) if name not in repeating]
    else:
        delete = [
            *(name for stage in stages.values() for name in stage.delete),
            *removed_children(pipeline, observed),
            *superseded(before.stages, observed),
        ]
    due = _due_after(job, pipeline, stages.values(), observed, after, used, now)
    return Decision(
        status=after,
        create=_creations(job, pipeline, stages),
        delete=tuple(delete),
        delete_once_written=repeating,
        requeue_after=_earliest(due, SIGNS_PERIOD if have_chips(pipeline, observed) else None),
        due_after=due,
    )


def _account(
    job: DistillationJob, pipeline: Pipeline, status: DistillationJobStatus, observed: Observed, now: datetime
) -> tuple[dict[str, StageStatus], datetime | None]:
    """The stages as the status has them, with the chips that were used since."""
    accounted = parse_time(status.accounted_time) if status.accounted_time else None
    known, counted = account(pipeline, {stage.name: stage for stage in status.stages}, observed, accounted, now)
    return count_idle(job.metadata.name, pipeline, known, observed, now), counted


def _decide_stages(
    job: DistillationJob,
    pipeline: Pipeline,
    known: Mapping[str, StageStatus],
    observed: Observed,
    held: Set[str],
    suspended: bool,
    now: datetime,
) -> dict[str, StageDecision]:
    """Each stage by itself, after all that it reads. ``held``: those that the preview's end doesn't let through."""
    decided: dict[str, StageDecision] = {}
    for stage in pipeline.values():
        ready = all(decided[need].status.state == "Complete" for need in stage.needs)
        is_held = stage.name in held
        decision = decide_stage(job, stage, known.get(stage.name), observed, ready and not is_held, suspended, now)
        if ready and is_held:
            decision = replace(decision, status=holding(decision.status))
        cause = check_row_budget(stage, pipeline, {name: other.status for name, other in decided.items()})
        decided[stage.name] = decision if cause is None else fail_without_pod(decision, cause, now)
        if decided[stage.name].needs_fresh_lists:
            # All of them are decided again then.
            break
    return decided


def _stopped(stage: StageDecision) -> StageDecision:
    """A stage of a job that has failed: nothing new is started, and what runs is ended."""
    status = stage.status
    if status.state not in ("Complete", "Failed", "Waiting"):
        waiting = with_state(status, "Waiting", Cause.of(reasons.JOB_FAILED, "Another stage failed."))
        status = rewrite_stage(waiting, progress=None)
    return replace(stage, status=status, create=None, delete=(), requeue_after=None)


def _last_failures(status: DistillationJobStatus, stages: Iterable[StageDecision]) -> list[Failure]:
    news = [stage.failure for stage in stages if stage.failure is not None]
    return [*status.last_failures, *news][-KEPT_FAILURES:]


def _with_estimate(before: StageStatus | None, stage: StageStatus, now: datetime) -> StageStatus:
    """A stage's estimate is made of its progress, and stands as long as that does: time alone is no news."""
    if before is not None and before.progress == stage.progress and before.state == stage.state:
        return rewrite_stage(stage, estimated_completion_time=before.estimated_completion_time)
    return rewrite_stage(stage, estimated_completion_time=end_of(now, stage_time_left(stage)))


def _estimate(
    pipeline: Pipeline, before: DistillationJobStatus, after: DistillationJobStatus, now: datetime
) -> str | None:
    """When the job will end; likewise of the progress of all its stages."""
    same = before.observed_generation == after.observed_generation and _progress(before) == _progress(after)
    if same:
        return before.estimated_completion_time
    return end_of(now, job_time_left(pipeline, {stage.name: stage for stage in after.stages}))


def _progress(status: DistillationJobStatus) -> list[tuple[object, ...]]:
    return [(stage.name, stage.state, stage.progress, stage.counts) for stage in status.stages]


def _creations(job: DistillationJob, pipeline: Pipeline, stages: Mapping[str, StageDecision]) -> tuple[Creation, ...]:
    return tuple(
        Creation(child_name(job.metadata.name, name, stage.create), pipeline[name], stage.create)
        for name, stage in stages.items()
        if stage.create is not None
    )


def _due_after(
    job: DistillationJob,
    pipeline: Pipeline,
    stages: Iterable[StageDecision],
    observed: Observed,
    after: DistillationJobStatus,
    used: int,
    now: datetime,
) -> timedelta | None:
    """The nearest time at which something may be due that no event tells."""
    accounted = parse_time(after.accounted_time) if after.accounted_time else None
    return _earliest(
        *(stage.requeue_after for stage in stages),
        QUEUE_PERIOD if any(stage.state == "Queued" for stage in after.stages) else None,
        next_count(pipeline, observed, accounted, now),
        time_left(job.spec.budget, pipeline, observed, used),
        timedelta(seconds=job.spec.ttl_seconds_after_finished) if after.has_ended else None,
    )


def _earliest(*waits: timedelta | None) -> timedelta | None:
    return min((wait for wait in waits if wait is not None), default=None)


def _after_the_end(
    job: DistillationJob, status: DistillationJobStatus, observed: Observed, rejected_retry: Cause | None, now: datetime
) -> Decision:
    """A job that has ended changes no more; its children are removed when their time is over."""
    status = _with_accepted(status, rejected_retry)
    if status.observed_generation != job.metadata.generation:
        status = _with_generation(status, job.metadata.generation)
    status = without_internal_error(job, status, now)
    if status.reason is None:
        # As of an operator that wrote none.
        status = rewrite_job(status, reason=urgent_reason(status.stages, None))
    status = rewrite_job(status, stages=with_late_failures(status.stages, observed))
    ended = parse_time(status.completion_time) if status.completion_time else now
    removal = ended + timedelta(seconds=job.spec.ttl_seconds_after_finished)
    left = clean_up(observed.children.values(), removal, now)
    return Decision(
        status, delete=left.delete or live_children(status.stages, observed), requeue_after=left.requeue_after
    )


def _with_accepted(status: DistillationJobStatus, rejected_retry: Cause | None) -> DistillationJobStatus:
    """What is said of a retry stands as long as the annotation that asks for it."""
    told = accepted(rejected_retry)
    conditions = [
        rewrite_condition(condition, reason=told.reason, message=told.message)
        if condition.type == "Accepted" and (rejected_retry is not None or condition.reason in OF_RETRIES)
        else condition
        for condition in status.conditions
    ]
    return rewrite_job(status, conditions=conditions)


def _with_generation(status: DistillationJobStatus, generation: int) -> DistillationJobStatus:
    conditions = [rewrite_condition(condition, observed_generation=generation) for condition in status.conditions]
    return rewrite_job(status, observed_generation=generation, conditions=conditions)
