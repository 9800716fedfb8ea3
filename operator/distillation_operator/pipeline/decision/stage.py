"""One stage in one decision: which attempt it is at, what that one's child and pods say, and what follows for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from distillation_operator.api.contract import Progress, StageResult
from distillation_operator.api.resource import DistillationJob
from distillation_operator.api.status import Failure, StageProgress, StageStatus
from distillation_operator.pipeline.failure_policy import (
    Ruling,
    count_shards,
    rule_on_failed_child,
    rule_on_lost_result,
    rule_on_shards,
)
from distillation_operator.pipeline.names import child_name
from distillation_operator.pipeline.observed import Child, ChildState, Observed, Pod, Problem
from distillation_operator.pipeline.stages import Stage
from distillation_operator.pipeline.times import format_time

NO_PODS_PERIOD = timedelta(seconds=5)
MESSAGE_LIMIT = 800
"""Bytes of a message, for a status that stays small whatever programs and Kubernetes say."""
FAILURE_LIMIT = 512
"""Bytes of the message of a failure that is kept."""
REASON_LIMIT = 128
VALUE_LIMIT = 256
ENTRIES_LIMIT = 32
"""Entries of each of a stage's outputs, counts and metrics."""


@dataclass(frozen=True)
class StageView:
    """What one decision says of one stage."""

    status: StageStatus
    create: int | None = None
    """Attempt to create a child for."""
    delete: tuple[str, ...] = ()
    look_again: timedelta | None = None
    failure: Failure | None = None
    """The attempt that has failed, told once."""
    list_first: bool = False
    """What is known doesn't bear this view: only what is listed for the decision does."""


def view_stage(
    job: DistillationJob, stage: Stage, before: StageStatus | None, observed: Observed, ready: bool, now: datetime
) -> StageView:
    """The stage's next status, and what to do for it. ``ready``: all that it reads exists."""
    if before is None:
        before = StageStatus(name=stage.name, state="Waiting", fingerprint=stage.fingerprint)
    if before.state in ("Complete", "Failed"):
        return StageView(before)
    before = before.model_copy(update={"fingerprint": stage.fingerprint, "directory": stage.output})
    children = observed.of_stage(stage.name)
    if not ready:
        # After a status was lost children may run whose inputs are only looked at again.
        stop = _live(children) if job.spec.suspend else ()
        waits = "Waits for " + ", ".join(stage.needs) + "."
        return StageView(_told(before, "Waiting", "InputsMissing", waits), delete=stop)
    attempt = max([before.attempt, *(child.attempt for child in children)])
    if job.spec.suspend:
        return _suspended(before.model_copy(update={"attempt": attempt}), children)
    name = child_name(job.metadata.name, stage.name, attempt)
    child = observed.children.get(name)
    current = before.model_copy(update={"attempt": attempt})
    if before.state == "Suspended" and (child is None or child.terminating):
        # A new attempt, not the old name again: the child that the suspension deleted may still be going.
        current = current.model_copy(update={"attempt": attempt + 1})
        return _start(job, current, observed, now)
    if child is None:
        return _start(job, current, observed, now)
    return _of_child(job, stage, current, child, observed, now)


def refuse_stage(view: StageView, problem: Problem, now: datetime) -> StageView:
    """A stage that needs no pod to be known to fail; what runs or has ended is left alone."""
    status = view.status
    if status.state not in ("Waiting", "Suspended") and view.create is None:
        return view
    done = status.model_copy(update={"completion_time": format_time(now), "progress": None})
    return StageView(_told(done, "Failed", problem.reason, problem.message))


def _start(job: DistillationJob, status: StageStatus, observed: Observed, now: datetime) -> StageView:
    """Create the attempt's child, once no pod of the stage is left that could write beside it."""
    name = child_name(job.metadata.name, status.name, status.attempt)
    predecessors = {child_name(job.metadata.name, status.name, attempt) for attempt in range(status.attempt + 1)}
    left = [pod.name for pod in observed.pods if pod.child in predecessors and pod.alive]
    if left:
        return StageView(
            _told(status, "Pending", "PredecessorRuns", f"Waits for pod {left[0]} of an earlier attempt to end.")
        )
    if not observed.listed:
        # A pod of an earlier attempt, or of a child that somebody has deleted, may not have been heard of yet.
        return StageView(status, list_first=True)
    problem = observed.create_problems.get(name)
    started = status.start_time or format_time(now)
    status = status.model_copy(update={"start_time": started, "progress": None})
    if problem is not None:
        return StageView(_told(status, "Pending", problem.reason, problem.message), create=status.attempt)
    return StageView(_told(status, "Pending", "Created", None), create=status.attempt)


def _suspended(status: StageStatus, children: list[Child]) -> StageView:
    return StageView(_told(status, "Suspended", "JobSuspended", None), delete=_live(children))


def _live(children: list[Child]) -> tuple[str, ...]:
    return tuple(c.name for c in children if c.ours and c.ended_at is None and not c.terminating)


def _of_child(
    job: DistillationJob, stage: Stage, status: StageStatus, child: Child, observed: Observed, now: datetime
) -> StageView:
    if not child.ours:
        message = f"An object named {child.name} exists and isn't owned by this DistillationJob; delete or rename it."
        return StageView(_told(status, "Pending", "NameTaken", message))
    pods = observed.pods_of(child.name)
    if status.start_time is None:
        status = status.model_copy(update={"start_time": format_time(child.created_at or now)})
    if stage.is_indexed:
        status = count_shards(status, child, pods)
    match child.state:
        case ChildState.COMPLETE:
            return _completed(job, stage, status, child, pods, observed.listed, now)
        case ChildState.FAILED if not observed.listed:
            # Why it failed, and so what that costs, stands in its pods and, of a JobSet, in its Jobs.
            return StageView(status, list_first=True)
        case ChildState.FAILED:
            return _ruled(status, rule_on_failed_child(stage, job.spec.retries, status, child, pods), child, now)
        case ChildState.HELD:
            return StageView(_told(status, "Queued", "WaitsForQuota", child.message or "Held by its queue."))
    spent = rule_on_shards(job.spec.retries, status.attempts, child, pods) if stage.is_indexed else None
    if spent is not None:
        return _ruled(status, spent, child, now)
    if child.terminating:
        return StageView(_told(status, "Pending", "ChildDeleted", f"{child.name} is being deleted."))
    if not pods:
        # What keeps pods from being made is told by an Event alone, which nobody watches.
        refused = child.message
        told = ("PodsRefused", refused) if refused else ("PodsStarting", None)
        return StageView(_told(status, "Pending", *told), look_again=NO_PODS_PERIOD)
    return StageView(_active(stage, status, pods, observed))


def _active(stage: Stage, status: StageStatus, pods: list[Pod], observed: Observed) -> StageStatus:
    lines = [observed.progress[pod.name] for pod in pods if pod.name in observed.progress]
    if lines:
        status = status.model_copy(
            update={"progress": _merged(lines, stage), "metrics": _decimals(_last_metrics(lines)) or status.metrics}
        )
    running = sum(pod.running for pod in pods)
    problems = [pod.problem for pod in pods if pod.problem is not None and pod.alive]
    if problems:
        state = "Running" if running else "Pending"
        return _told(status, state, problems[0].reason, problems[0].message)
    if running or any(pod.succeeded for pod in pods):
        return _told(status, "Running", None, None)
    return _told(status, "Pending", "PodsStarting", None)


def _completed(
    job: DistillationJob, stage: Stage, status: StageStatus, child: Child, pods: list[Pod], listed: bool, now: datetime
) -> StageView:
    # By index: a pod that was replaced after it had told its result must not count twice.
    by_index = {pod.index: pod.result for pod in pods if pod.result and pod.result.fingerprint == stage.fingerprint}
    results = list(by_index.values())
    needed = _shards(stage) if stage.is_indexed else 1
    if len(results) < needed:
        if not listed:
            return StageView(status, list_first=True)
        return _ruled(status, rule_on_lost_result(job.spec.retries, status.attempts, child), child, now)
    merged = merge_results(results)
    ended = child.ended_at or now
    done = status.model_copy(
        update={
            "completion_time": format_time(ended),
            "reused": all(result.reused for result in results),
            "outputs": _first({name: path[:VALUE_LIMIT] for name, path in merged.outputs.items()}) or None,
            "counts": _first(merged.counts) or None,
            "metrics": _decimals(merged.metrics) or None,
            "progress": None,
        }
    )
    return StageView(_told(done, "Complete", None, None))


def _shards(stage: Stage) -> int:
    assert stage.program.kind == "generate"
    return stage.program.shards


def _ruled(status: StageStatus, ruling: Ruling, child: Child, now: datetime) -> StageView:
    """The end of the attempt, and the next one once its time has come."""
    failure = _failure(status, ruling, child, now)
    counted = status.model_copy(update={"attempts": ruling.attempts})
    if ruling.back_off is None:
        return StageView(_ended(counted, ruling.reason, ruling.message, child, now), failure=failure)
    left = (child.ended_at or now) + ruling.back_off - now
    if left > timedelta(0):
        # Counted only when the next attempt starts, so that looking twice counts once.
        return StageView(
            _told(status, "Pending", ruling.reason, f"Tried again soon: {ruling.message}"), look_again=left
        )
    following = counted.model_copy(update={"attempt": status.attempt + 1, "progress": None})
    again = _told(following, "Pending", ruling.reason, f"Tried again: {ruling.message}")
    return StageView(again, look_again=timedelta(0), failure=failure)


def _failure(status: StageStatus, ruling: Ruling, child: Child, now: datetime) -> Failure:
    return Failure(
        stage=status.name,
        attempt=status.attempt,
        failure_class=ruling.kind.value,
        reason=ruling.reason[:REASON_LIMIT],
        message=_cut(ruling.message, FAILURE_LIMIT),
        exit_code=ruling.cause.exit_code if ruling.cause else None,
        node=ruling.cause.node if ruling.cause else None,
        time=format_time(child.ended_at or now),
    )


def _ended(status: StageStatus, reason: str, message: str, child: Child, now: datetime) -> StageStatus:
    done = status.model_copy(update={"completion_time": format_time(child.ended_at or now), "progress": None})
    return _told(done, "Failed", reason, message)


def _told(status: StageStatus, state: str, reason: str | None, message: str | None) -> StageStatus:
    told = {
        "state": state,
        "reason": reason[:REASON_LIMIT] if reason else None,
        "message": message if message is None else _cut(message),
    }
    return status.model_copy(update=told)


def _cut(message: str, limit: int = MESSAGE_LIMIT) -> str:
    encoded = message.encode(errors="replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[: limit - len("…".encode())].decode(errors="ignore") + "…"


def _first[V](entries: Mapping[str, V]) -> dict[str, V]:
    return {name[:VALUE_LIMIT]: value for name, value in islice(entries.items(), ENTRIES_LIMIT)}


def _merged(lines: list[Progress], stage: Stage) -> StageProgress:
    if stage.is_indexed:
        done, total = sum(line.done for line in lines), sum(line.total for line in lines)
        rate = sum(line.rate or 0 for line in lines)
    else:
        furthest = max(lines, key=lambda line: line.done)
        done, total, rate = furthest.done, furthest.total, furthest.rate or 0
    # Printed by a program: it need not make sense.
    total = max(total, 0)
    done = min(max(done, 0), total) if total else max(done, 0)
    return StageProgress(done=done, total=total, unit=lines[0].unit, rate=f"{rate:.3g}" if rate else None)


def _last_metrics(lines: list[Progress]) -> dict[str, float]:
    return dict(max(lines, key=lambda line: line.done).metrics)


def _decimals(metrics: dict[str, float]) -> dict[str, str]:
    return {name: f"{value:.6g}" for name, value in _first(metrics).items()}


def merge_results(results: Iterable[StageResult]) -> StageResult:
    """One result of a stage from those of its pods: counts are added up, the rest is the first's."""
    results = list(results)
    counts: dict[str, int] = {}
    for result in results:
        for name, count in result.counts.items():
            counts[name] = counts.get(name, 0) + count
    return results[0].model_copy(update={"counts": counts})
