"""One stage in one decision: which attempt it is at, what that one's child and pods say, and what follows for it."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from distillation_api import reasons
from distillation_api.contract import GenerateProgram
from distillation_api.resource import DistillationJob
from distillation_api.spec import Retries
from distillation_api.status import Failure, StageStatus
from distillation_operator.pipeline.cause import TRIED_AGAIN_SOON, Cause
from distillation_operator.pipeline.decision.evidence import proof, reported, results_of
from distillation_operator.pipeline.decision.failure_policy import (
    TRIED_AGAIN,
    Ruling,
    back_off_left,
    count_shards,
    deleted_while_running,
    rule_on_failed_child,
    rule_on_lost_result,
    rule_on_shards,
)
from distillation_operator.pipeline.names import child_name
from distillation_operator.pipeline.observed import Child, ChildState, Observed, Pod
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.status.pen import FAILURE_LIMIT, REASON_LIMIT, cut, rewrite_stage, with_state
from distillation_operator.pipeline.status.shard_progress import with_shard_progress
from distillation_operator.pipeline.status.stage_status import (
    completion_cause,
    with_findings,
    with_progress,
    with_results,
    with_seconds,
)
from distillation_operator.pipeline.status.times import EARLIEST, format_time, parse_time

NO_PODS_PERIOD = timedelta(seconds=5)
STARTING_PERIOD = timedelta(seconds=4)
"""What keeps a pod on its node from starting may be told by Events alone, which nobody watches."""
UNSCHEDULED_PERIOD = timedelta(seconds=15)
"""Likewise what the autoscaler says of a pod without a node."""
OTHER_JOB_PERIOD = timedelta(seconds=10)
"""Nothing tells when another job's child has ended."""
STRANGERS_PERIOD = timedelta(seconds=5)
"""What isn't ours is no event: it is looked for again."""


@dataclass(frozen=True)
class StageDecision:
    """What one decision says of one stage."""

    status: StageStatus
    create: int | None = None
    """Attempt to create a child for."""
    delete: tuple[str, ...] = ()
    requeue_after: timedelta | None = None
    failure: Failure | None = None
    """The attempt that has failed, told once."""
    needs_fresh_lists: bool = False
    """What is known doesn't bear this decision: only what is listed for it does."""


def decide_stage(
    job: DistillationJob,
    stage: Stage,
    before: StageStatus | None,
    observed: Observed,
    ready: bool,
    suspended: bool,
    now: datetime,
) -> StageDecision:
    """The stage's next status, and what to do for it. ``ready``: all that it reads exists. ``suspended``: no pod may
    run.
    """
    if before is None:
        before = StageStatus(name=stage.name, state="Waiting")
    if before.state in ("Complete", "Failed"):
        return StageDecision(before)
    children = observed.of_stage(stage.name)
    before = rewrite_stage(before, fingerprint=stage.fingerprint, directory=stage.output)
    if not ready:
        # After a status was lost children may run whose inputs are only looked at again.
        stop = _unproven(stage, observed) if suspended else ()
        if stop:
            # As after every suspension, not the old name again.
            before = rewrite_stage(before, attempt=max(child.attempt for child in children) + 1)
        waits = Cause.of(reasons.INPUTS_MISSING, "Waits for " + ", ".join(stage.needs) + ".")
        return StageDecision(with_state(rewrite_stage(before, progress=None), "Waiting", waits), delete=stop)
    attempt = max([before.attempt, *(child.attempt for child in children)])
    current = rewrite_stage(before, attempt=attempt)
    if suspended:
        current = rewrite_stage(current, away_since=None)
        stopped = with_state(current, "Suspended", Cause.of(reasons.JOB_SUSPENDED))
        return StageDecision(stopped, delete=_unproven(stage, observed))
    child = observed.children.get(child_name(job.metadata.name, stage.name, attempt))
    if before.state == "Suspended" and (child is None or child.terminating):
        # A new attempt, not the old name again: the child that the suspension deleted may still be going.
        return _start(job, rewrite_stage(current, attempt=attempt + 1), observed, now)
    if child is None:
        return _start(job, current, observed, now)
    return _of_child(job.spec.retries, stage, current, child, observed, now)


def fail_without_pod(decision: StageDecision, cause: Cause, now: datetime) -> StageDecision:
    """A stage that needs no pod to be known to fail; what runs or has ended is left alone."""
    status = decision.status
    if status.state not in ("Waiting", "Suspended") and decision.create is None:
        return decision
    return StageDecision(_ended(status, cause, now))


def _start(job: DistillationJob, status: StageStatus, observed: Observed, now: datetime) -> StageDecision:
    """Create the attempt's child, once no pod of the stage is left that could write at the same time."""
    name = child_name(job.metadata.name, status.name, status.attempt)
    # Of any attempt: where a status was lost, attempts that it doesn't know may have pods left.
    predecessors = {child_name(job.metadata.name, status.name, attempt) for attempt in range(status.attempt + 1)}
    left = [pod.name for pod in observed.pods if pod.alive and _is_of(pod, status.name, predecessors)]
    strange = [pod.name for pod in observed.strangers if pod.alive and _is_of(pod, status.name, predecessors)]
    if left or strange:
        waits = Cause.of(
            reasons.PREDECESSOR_RUNS, f"Waits for pod {[*left, *strange][0]} of an earlier attempt to end."
        )
        return StageDecision(with_state(status, "Pending", waits), requeue_after=None if left else STRANGERS_PERIOD)
    other = observed.at_work.get(status.directory or "")
    if other is not None:
        message = f"Waits for DistillationJob {other}, which makes the same; what it makes is taken when it is done."
        waits = Cause.of(reasons.WAITS_FOR_OTHER_JOB, message)
        return StageDecision(with_state(status, "Pending", waits), requeue_after=OTHER_JOB_PERIOD)
    # What the status has may be known of who decided before, and of a child that is gone by now.
    never_begun = status.start_time is None and observed.begun is not None and status.name not in observed.begun
    if not observed.fresh and not never_begun:
        # A pod of an earlier attempt, or of a child that somebody has deleted, may not have been heard of yet.
        return StageDecision(status, needs_fresh_lists=True)
    started = rewrite_stage(status, start_time=status.start_time or format_time(now), progress=None)
    cause = observed.creation_failures.get(name) or Cause.of(reasons.CREATED)
    return StageDecision(with_state(started, "Pending", cause), create=status.attempt)


def _is_of(pod: Pod, stage: str, children: Set[str]) -> bool:
    return pod.stage == stage or pod.child in children


def _unproven(stage: Stage, observed: Observed) -> tuple[str, ...]:
    """The children that may still have something to do."""
    live = [child for child in observed.of_stage(stage.name) if child.live]
    return tuple(child.name for child in live if not proof(stage, child, observed.pods_of(child.name)))


def _of_child(
    retries: Retries, stage: Stage, status: StageStatus, child: Child, observed: Observed, now: datetime
) -> StageDecision:
    if not child.ours:
        message = f"An object named {child.name} exists and isn't owned by this DistillationJob; delete or rename it."
        taken = Cause.of(reasons.NAME_TAKEN, message)
        return StageDecision(with_state(status, "Pending", taken), requeue_after=STRANGERS_PERIOD)
    pods = observed.pods_of(child.name)
    if status.start_time is None:
        status = rewrite_stage(status, start_time=format_time(child.created_at or now))
    if stage.is_indexed:
        status = count_shards(status, child, pods)
    proven = proof(stage, child, pods)
    if proven:
        # Whatever its Job says, or will say.
        return _complete(stage, status, child, pods, proven, now)
    match child.state:
        case ChildState.COMPLETE:
            return _completed(retries, stage, status, child, pods, observed.fresh, now)
        case ChildState.FAILED if not observed.fresh:
            # Why it failed, and so what that costs, stands in its pods and, of a JobSet, in its Jobs.
            return StageDecision(status, needs_fresh_lists=True)
        case ChildState.FAILED:
            return _ruled(status, rule_on_failed_child(stage, retries, status, child, pods), child, now)
        case ChildState.HELD:
            held = Cause.of(reasons.WAITS_FOR_QUOTA, child.message or "Held by its queue.")
            return StageDecision(with_state(status, "Queued", held))
    spent = rule_on_shards(retries, status.attempts, child, pods) if stage.is_indexed else None
    if spent is not None:
        return _ruled(status, spent, child, now)
    if child.terminating:
        deleted = Cause.of(reasons.CHILD_DELETED, f"{child.name} is being deleted.")
        return StageDecision(with_state(status, "Pending", deleted))
    if not pods:
        cause = _without_pods(stage, status, child)
        return StageDecision(with_state(status, "Pending", cause), requeue_after=NO_PODS_PERIOD)
    return StageDecision(_active(stage, status, child, pods, observed), requeue_after=_until_it_starts(pods))


def _without_pods(stage: Stage, status: StageStatus, child: Child) -> Cause:
    # What keeps pods from being made is reported by an Event alone, which nobody watches.
    if child.message:
        return Cause.of(reasons.PODS_REFUSED, child.message)
    # Only an Indexed Job makes another pod; any other one is about to fail, and what was seen of its pod is kept.
    gone = None if stage.is_indexed else deleted_while_running(status, child)
    return gone or Cause.of(reasons.PODS_STARTING)


def _until_it_starts(pods: list[Pod]) -> timedelta | None:
    """When to look again at pods that haven't started."""
    waits = {pod.node is not None for pod in pods if pod.alive and not pod.running and not pod.terminating}
    if not waits:
        return None
    return STARTING_PERIOD if True in waits else UNSCHEDULED_PERIOD


def _active(stage: Stage, status: StageStatus, child: Child, pods: list[Pod], observed: Observed) -> StageStatus:
    status = _with_progress(stage, status, child, pods, observed)
    running = any(pod.running for pod in pods)
    # What keeps a pod from running comes before what may end one that does.
    waits = sorted((pod for pod in pods if pod.alive), key=lambda pod: pod.running)
    causes = [pod.pending_cause for pod in waits if pod.pending_cause is not None]
    if any(pod.ended and not pod.succeeded for pod in pods) and not stage.is_indexed:
        # The others of a Job that is about to fail are deleted for that one.
        causes = [cause for cause in causes if cause.reason != reasons.POD_DELETED.name]
    if causes:
        return with_state(status, "Running" if running else "Pending", causes[0])
    if running or any(pod.succeeded for pod in pods):
        return with_state(status, "Running")
    return with_state(status, "Pending", Cause.of(reasons.PODS_STARTING))


def _with_progress(stage: Stage, status: StageStatus, child: Child, pods: list[Pod], observed: Observed) -> StageStatus:
    told = {pod: observed.progress[pod.name] for pod in pods if pod.name in observed.progress}
    if isinstance(stage.program, GenerateProgram):
        gone = {index: line for (job, index), line in observed.last_progress.items() if job == child.uid}
        last = {**gone, **{pod.index: line for pod, line in told.items()}}
        done = {pod.index: pod.result for pod in pods if pod.result and pod.result.fingerprint == stage.fingerprint}
        return with_shard_progress(status, stage.program.shards, [*told.values()], last, done)
    return with_progress(status, [*told.values()]) if told else status


def _completed(
    retries: Retries, stage: Stage, status: StageStatus, child: Child, pods: list[Pod], fresh: bool, now: datetime
) -> StageDecision:
    reporting = reported(stage, pods)
    if reporting:
        return _complete(stage, status, child, pods, reporting, now)
    if not fresh:
        return StageDecision(status, needs_fresh_lists=True)
    return _ruled(status, rule_on_lost_result(retries, status.attempts, child), child, now)


def _complete(
    stage: Stage, status: StageStatus, child: Child, pods: list[Pod], reporting: list[Pod], now: datetime
) -> StageDecision:
    """``reporting``: those of its pods that have reported its results."""
    done = format_time(_end_of_work(status, child, pods, now))
    results = results_of(reporting)
    ended = with_results(rewrite_stage(status, completion_time=done, progress=None, away_since=None), results)
    if stage.is_of_preview:
        # What a student says after a few steps is no warning.
        return StageDecision(with_state(with_seconds(ended, results[0]), "Complete"))
    return StageDecision(with_state(ended, "Complete", completion_cause(stage.program, results[0])))


def _end_of_work(status: StageStatus, child: Child, pods: list[Pod], now: datetime) -> datetime:
    """When the last pod has ended. By its node's clock: never before the stage was started, nor in future."""
    ends = [pod.finished for pod in pods if pod.succeeded and pod.finished is not None]
    if not ends:
        return child.ended_at or now
    started = parse_time(status.start_time) if status.start_time else EARLIEST
    return max(started, min(now, max(ends)))


def _ruled(status: StageStatus, ruling: Ruling, child: Child, now: datetime) -> StageDecision:
    """The end of the attempt, and the next one once its time has come."""
    failure = _failure(status, ruling, child, now) if ruling.is_failure else None
    away = format_time(ruling.away_since) if ruling.away_since is not None else None
    counted = rewrite_stage(status, attempts=ruling.attempts, away_since=away)
    reason, message = ruling.cause.reason, ruling.cause.message
    wait = max(ruling.judged_after, ruling.back_off or timedelta(0))
    left = back_off_left(child.ended_at or now, wait, now)
    if ruling.back_off is None:
        if left > timedelta(0):
            return StageDecision(with_state(status, "Pending", ruling.cause), requeue_after=left)
        found = with_findings(counted, ruling.pod.failure if ruling.pod else None)
        return StageDecision(_ended(found, ruling.cause, child.ended_at or now), failure=failure)
    if left > timedelta(0):
        # Counted only when the next attempt starts, so that looking twice counts once.
        soon = Cause(reason, TRIED_AGAIN_SOON + message)
        return StageDecision(with_state(status, "Pending", soon), requeue_after=left)
    following = rewrite_stage(counted, attempt=status.attempt + 1, progress=None)
    again = with_state(following, "Pending", Cause(reason, TRIED_AGAIN + message))
    return StageDecision(again, requeue_after=timedelta(0), failure=failure)


def _failure(status: StageStatus, ruling: Ruling, child: Child, now: datetime) -> Failure:
    return Failure(
        stage=status.name,
        attempt=status.attempt,
        failure_class=ruling.kind.value,
        reason=ruling.cause.reason[:REASON_LIMIT],
        message=cut(ruling.cause.message, FAILURE_LIMIT),
        exit_code=ruling.pod.exit_code if ruling.pod else None,
        node=ruling.pod.node if ruling.pod else None,
        time=format_time(child.ended_at or now),
    )


def _ended(status: StageStatus, cause: Cause, ended: datetime) -> StageStatus:
    return with_state(rewrite_stage(status, completion_time=format_time(ended), progress=None), "Failed", cause)
