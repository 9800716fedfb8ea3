"""One failure policy: what an ended pod or attempt is, what it counts, and whether and when it is tried again.

Who counts what:

- A single-pod Job (every stage but generation and training) and the JobSet of a training stage are one attempt each.
  The first pod that is lost ends the attempt. The operator counts it, and starts the next attempt after a back-off.
- The Indexed Job of generation tries a shard again by itself. Kubernetes counts, per shard; the operator reads the
  counts from the pods, adds them up in the stage's attempts while it runs, and starts no shard itself.

What ends a pod, and what it costs:

- A failure (a crash) counts in ``attempts.failures``. ``retries.failures`` bounds the attempts of a stage; of
  generation it bounds each shard by itself (``backoffLimitPerIndex``), and when a shard has used it up the stage fails.
- A disruption (preemption, eviction, the loss of a node) counts in ``attempts.disruptions``. ``retries.disruptions``
  bounds them. Kubernetes knows no such bound for shards, so the operator ends a Job whose shards exceed it.
- A permanent verdict (the program's exit code) counts nothing, and nothing is tried again.
- What a program puts down to the machine (a reason of that cost, such as a busy accelerator) counts as a disruption,
  and the next attempt waits a minute. A shard that ends so is tried again by its Job, which counts a failure, until the
  Job has used up its retries.
- A pod that its node doesn't admit (a device plugin that isn't ready, no room after all) is the machine's too; one that
  asks for a part of a VM's chips is refused by all such nodes, and that is final.
- What a program needs and finds away (the Hub, a bucket, the storage) is waited for: attempts follow each other in
  minutes, and those of the first hour count nothing. An attempt that has worked for a while counts as a disruption, and
  begins another hour: what breaks whenever it is used would else be tried for ever.
- A pod that finds another job at work in the same directory of the storage costs nothing: the next attempt waits five
  minutes. The jobs of one operator don't start such pods in the first place.
- A host that only misses another one explains nothing where that one tells, or shows, why it crashed. Where no host
  does, the other may have crashed and been removed before it could tell: the attempt counts as a disruption only where
  a node doesn't answer, or it had worked for a while; else as a failure, or a program that always crashes on one host
  would be tried as often as machines may be lost.
- Of a shard that its Job has tried several times the last pod counts, and none where one has succeeded.
- A pod that was deleted without such a condition is a failure, as Kubernetes counts it, and is told as what it is where
  it was seen: one that nobody saw may have been collected after its end.
- A lost host takes its peers of a training stage with it: they crash at once, and the attempt counts as one disruption.
  Shards don't depend on each other, so there a crash stays one.
- A lost result (a complete child whose pods' messages can't be read any more) counts as a failure of the attempt. Of
  generation, the crashes of its shards are failures of the stage too: only within ``retries.failures`` in all is
  everything started once more.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from distillation_api import reasons
from distillation_api.contract import EXIT_TERMINATED
from distillation_api.reasons.reason import Cost, Reason
from distillation_api.spec import Retries
from distillation_api.status import Attempts, ShardRetries, StageStatus
from distillation_operator.pipeline.cause import TRIED_AGAIN_SOON, Cause
from distillation_operator.pipeline.observed import Child, ChildState, FailureClass, Pod
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.status.pen import rewrite_stage
from distillation_operator.pipeline.status.times import parse_time

EXIT_KILLED = 137
"""Of a program that hasn't ended within its grace period, or had none."""
TRIED_AGAIN = "Tried again: "
"""How a message begins that tells of the attempt before."""
_CHIPS_REFUSED = "invalid TPU chip count"
"""GKE's device plugin: before tpu7x a pod has all chips of its VM, or none."""
FIRST_BACK_OFF = timedelta(seconds=5)
LONGEST_BACK_OFF = timedelta(minutes=5)
MACHINE_BACK_OFF = timedelta(seconds=60)
"""For a TPU that a killed process still holds, and other faults of machines that are over in a minute."""
AWAY_PERIOD = timedelta(hours=1)
"""What is away for so long counts nothing: outages are mended by others, at night too."""
FIRST_AWAY_BACK_OFF = timedelta(minutes=1)
WORKED = timedelta(minutes=10)
"""An attempt that ran for so long had what it needs: what it found away at last is another outage."""


@dataclass(frozen=True)
class Ruling:
    """What an attempt that has ended, or has to end, is and costs."""

    kind: FailureClass
    cause: Cause
    attempts: Attempts
    """What the stage has counted with it."""
    back_off: timedelta | None
    """Time from the attempt's end to the next attempt; None when there is none."""
    pod: Pod | None = None
    """The pod that explains it."""
    is_failure: bool = True
    """False for an attempt that only found out that it has to wait."""
    away_since: datetime | None = None
    """Since when what the stage needs is away."""
    judged_after: timedelta = timedelta(0)
    """Time from the attempt's end before which it is not final: what decides may not have been heard of."""


def back_off_left(ended: datetime, back_off: timedelta, now: datetime) -> timedelta:
    """What is left of an attempt's back-off. The end is by another clock than ours: one that is further ahead than the
    longest back-off says nothing about how long ago it was, and holds nothing up.
    """
    return timedelta(0) if ended - now > LONGEST_BACK_OFF else ended + back_off - now


def rule_on_failed_child(stage: Stage, retries: Retries, status: StageStatus, child: Child, pods: list[Pod]) -> Ruling:
    """The end of a child that has failed; what its shards have cost stands in the status already."""
    attempts = status.attempts
    pods = _last_of_shards(pods) if stage.is_indexed else pods
    waiting = next(filter(_found_other_job, pods), None)
    if waiting is not None and waiting.failure is not None and not any(map(_is_permanent, pods)):
        cause = Cause(waiting.failure.reason, waiting.failure.message)
        return Ruling(FailureClass.DISRUPTION, cause, attempts, LONGEST_BACK_OFF, waiting, is_failure=False)
    kind = _classify(stage, child, pods)
    pod = _explaining(kind, pods)
    cause = _cause(kind, status, child, pod)
    if kind is FailureClass.PERMANENT:
        return Ruling(kind, cause, attempts, None, pod)
    away = _away_since(status, child, pod) if kind is FailureClass.CRASH else None
    if away is not None and _has_worked(pod):
        return replace(_counted(FailureClass.DISRUPTION, cause, retries, attempts, pod), away_since=away)
    if away is not None and child.ended_at is not None and child.ended_at - away < AWAY_PERIOD:
        wait = min(max(child.ended_at - away, FIRST_AWAY_BACK_OFF), LONGEST_BACK_OFF)
        return Ruling(kind, cause, attempts, wait, pod, is_failure=False, away_since=away)
    if stage.is_indexed and kind is FailureClass.CRASH:
        # Its Job has tried the shard again as often as the user allows: trying all again would square that number.
        return Ruling(kind, cause, _exhausted(status, child), None, pod)
    return replace(_counted(kind, cause, retries, attempts, pod), away_since=away)


def deleted_while_running(status: StageStatus, child: Child) -> Cause | None:
    """Why no pod of a child is left, where one was seen to run or to go; None where one may have ended by itself, and
    have been collected after that.
    """
    deleted = _seen_before(status, reasons.POD_DELETED)
    if deleted is None and status.state == "Running":
        deleted = f"the pod of {child.name} was deleted"
    return None if deleted is None else Cause.of(reasons.POD_DELETED, deleted)


def rule_on_lost_result(retries: Retries, attempts: Attempts, child: Child) -> Ruling:
    """The end of a complete child that nobody can tell the result of: evidence counts, not exit codes.

    The program's marker stands in the storage: started again it returns it at once.
    """
    lost = Cause.of(reasons.RESULT_LOST, f"{child.name} is complete, but its result can't be read any more")
    return _counted(FailureClass.CRASH, lost, retries, attempts, None)


def rule_on_shards(retries: Retries, attempts: Attempts, child: Child, pods: list[Pod]) -> Ruling | None:
    """The end of an Indexed Job whose shards were taken away more often than is allowed; None while it may go on."""
    if attempts.disruptions <= retries.disruptions:
        return None
    kind = FailureClass.DISRUPTION
    pod = _explaining(kind, pods)
    where = _disruption_of(pod) if pod else f"Pods of {child.name} were taken away"
    message = f"{where} (disruption {attempts.disruptions}; retries.disruptions is {retries.disruptions})"
    return Ruling(kind, Cause.of(reasons.POD_DISRUPTED, message), attempts, None, pod)


def count_shards(status: StageStatus, child: Child, pods: Iterable[Pod]) -> StageStatus:
    """The stage's attempts with what Kubernetes has counted of an Indexed Job's shards.

    Each index has its own count, on its newest pod. What was counted stays counted when pods are gone; and it is of one
    Job: another one, also of the same name, begins at zero.
    """
    if child.terminating or child.state is ChildState.HELD:
        return status
    known = status.shard_retries
    if known is None or known.job != child.uid:
        known = ShardRetries(job=child.uid)
    owned = [pod for pod in pods if pod.owner == child.uid]
    failures = max(known.failures, _sum_of_greatest((pod.index, pod.index_failures) for pod in owned))
    disruptions = max(known.disruptions, _sum_of_greatest((pod.index, pod.index_disruptions) for pod in owned))
    if (failures, disruptions) == (known.failures, known.disruptions):
        return status
    counted = ShardRetries(job=child.uid, failures=failures, disruptions=disruptions)
    attempts = Attempts(
        failures=status.attempts.failures + failures - known.failures,
        disruptions=status.attempts.disruptions + disruptions - known.disruptions,
    )
    return rewrite_stage(status, attempts=attempts, shard_retries=counted)


def _sum_of_greatest(counts: Iterable[tuple[int, int]]) -> int:
    greatest: dict[int, int] = {}
    for index, count in counts:
        greatest[index] = max(count, greatest.get(index, 0))
    return sum(greatest.values())


def _counted(kind: FailureClass, cause: Cause, retries: Retries, attempts: Attempts, pod: Pod | None) -> Ruling:
    """One more failure or disruption of the stage, and the next attempt if that is allowed."""
    if kind is FailureClass.DISRUPTION:
        attempts = Attempts(failures=attempts.failures, disruptions=attempts.disruptions + 1)
        spent = attempts.disruptions > retries.disruptions
    else:
        attempts = Attempts(failures=attempts.failures + 1, disruptions=attempts.disruptions)
        spent = attempts.failures > retries.failures
    # A node that is lost shows only after most of a minute.
    judged_after = MACHINE_BACK_OFF if cause.reason == reasons.PEER_LOST.name else timedelta(0)
    back_off = None if spent else _back_off(cause, attempts)
    return Ruling(kind, cause, attempts, back_off, pod, judged_after=judged_after)


def _back_off(cause: Cause, attempts: Attempts) -> timedelta:
    count = attempts.failures + attempts.disruptions
    wait: timedelta = min(FIRST_BACK_OFF * 2 ** min(count - 1, 10), LONGEST_BACK_OFF)
    match _cost(cause.reason):
        case Cost.DISRUPTION if cause.reason != reasons.POD_DISRUPTED.name:
            return max(wait, MACHINE_BACK_OFF)
        case Cost.AWAY:
            return LONGEST_BACK_OFF
        case _:
            return wait


def _cost(reason: str) -> Cost | None:
    known = reasons.REASONS.get(reason)
    return known.cost if known is not None else None


def _away_since(status: StageStatus, child: Child, pod: Pod | None) -> datetime | None:
    """Since when attempts of the stage have failed for what is away; None when this one hasn't."""
    if pod is None or pod.failure is None or _cost(pod.failure.reason) is not Cost.AWAY:
        return None
    return child.ended_at if status.away_since is None or _has_worked(pod) else parse_time(status.away_since)


def _has_worked(pod: Pod | None) -> bool:
    if pod is None or pod.started is None or pod.finished is None:
        return False
    return pod.finished - pod.started >= WORKED


def _last_of_shards(pods: Iterable[Pod]) -> list[Pod]:
    """The last pod of each shard that none has made; what those before it have met is over."""
    tried: dict[int, list[Pod]] = {}
    for pod in pods:
        tried.setdefault(pod.index, []).append(pod)
    return [
        max(of_one, key=_place_among_tries) for of_one in tried.values() if not any(pod.succeeded for pod in of_one)
    ]


def _place_among_tries(pod: Pod) -> tuple[int, bool, datetime]:
    return pod.index_failures + pod.index_disruptions, pod.finished is None, pod.finished or datetime.max


def _exhausted(status: StageStatus, child: Child) -> Attempts:
    """Of a Job that a shard has failed: at least that shard's failure, also when the pods that count it are gone."""
    known, attempts = status.shard_retries, status.attempts
    if known is not None and known.job == child.uid and known.failures:
        return attempts
    return Attempts(failures=attempts.failures + 1, disruptions=attempts.disruptions)


def _classify(stage: Stage, child: Child, pods: list[Pod]) -> FailureClass:
    if any(map(_is_permanent, pods)):
        return FailureClass.PERMANENT
    kind = child.failure_class or FailureClass.CRASH
    if kind is FailureClass.CRASH and (_blames_machine(pods) or (stage.is_training and _lost_a_host(pods))):
        return FailureClass.DISRUPTION
    return kind


def _is_permanent(pod: Pod) -> bool:
    return _asks_wrongly(pod) or (pod.failure is not None and pod.failure.permanent)


def _asks_wrongly(pod: Pod) -> bool:
    """True for a pod that no node of its kind takes."""
    return pod.refused_by_node is not None and _CHIPS_REFUSED in pod.refused_by_node


def _blames_machine(pods: list[Pod]) -> bool:
    """True when a program puts its end down to the machine; of one that only misses another host, when none of the
    others has an end of its own.
    """
    if any(map(_blames, pods)):
        return True
    if not any(map(_lost_peer, pods)) or any(map(_has_own_end, pods)):
        return False
    return any(_is_missing(pod) or (_lost_peer(pod) and _has_worked(pod)) for pod in pods)


def _is_missing(pod: Pod) -> bool:
    """True for a pod whose node doesn't answer, or that something outside has ended. Those that their own Job ends,
    after another has failed, are being deleted.
    """
    if pod.disrupted or (pod.exit_code == EXIT_TERMINATED and not pod.terminating):
        return True
    return pod.alive and pod.pending_cause is not None and pod.pending_cause.reason == reasons.NODE_NOT_READY.name


def _blames(pod: Pod) -> bool:
    """True for a pod that tells of a fault of its own machine."""
    told = pod.failure is not None and _cost(pod.failure.reason) is Cost.DISRUPTION
    return pod.refused_by_node is not None or (told and not _lost_peer(pod))


def _has_own_end(pod: Pod) -> bool:
    """True for a pod that failed by itself, not for want of another host."""
    if not pod.ended or pod.succeeded or pod.disrupted or pod.exit_code == EXIT_TERMINATED:
        return False
    return not _misses_another(pod)


def _lost_peer(pod: Pod) -> bool:
    return pod.failure is not None and pod.failure.reason == reasons.PEER_LOST.name


def _found_other_job(pod: Pod) -> bool:
    return pod.failure is not None and pod.failure.reason == reasons.WAITS_FOR_OTHER_JOB.name


def _lost_a_host(pods: list[Pod]) -> bool:
    """The other hosts crash at once when one is taken away, long before its own grace period is over.

    Only for pods that work as one: where each works for itself its Job has replaced the one that was taken away.
    """
    return any(pod.disrupted for pod in pods)


def _explaining(kind: FailureClass, pods: list[Pod]) -> Pod | None:
    """The pod that explains a failure best; None when none does."""
    permanent = [pod for pod in pods if _is_permanent(pod)]
    taken = [pod for pod in pods if pod.disrupted] if kind is FailureClass.DISRUPTION else []
    blaming = [pod for pod in pods if _blames(pod)] if kind is FailureClass.DISRUPTION else []
    # A shard that was taken away was replaced: it explains no crash.
    explained = sorted(
        (pod for pod in pods if pod.failure is not None and not (_lost_peer(pod) and kind is FailureClass.CRASH)),
        key=lambda pod: pod.disrupted,
    )
    # Of several pods the first that ended is the cause: the others die of its absence.
    crashed = sorted(
        (pod for pod in pods if pod.exit_text and not pod.succeeded),
        key=_place_among_causes,
    )
    return next(iter((*permanent, *taken, *blaming, *explained, *crashed)), None)


def _place_among_causes(pod: Pod) -> tuple[bool, bool, bool, bool, datetime]:
    was_told = pod.exit_code == EXIT_TERMINATED
    return pod.disrupted, was_told, _lost_peer(pod), pod.finished is None, pod.finished or datetime.max


def _cause(kind: FailureClass, status: StageStatus, child: Child, pod: Pod | None) -> Cause:
    if kind is FailureClass.DISRUPTION and pod is not None and pod.disrupted:
        return Cause.of(reasons.POD_DISRUPTED, _disruption_of(pod))
    if child.failure_class is FailureClass.DISRUPTION:
        taken = _seen_before(status, reasons.POD_DISRUPTED) or child.message or f"A pod of {child.name} was taken away."
        return Cause.of(reasons.POD_DISRUPTED, taken)
    deleted = _seen_before(status, reasons.POD_DELETED)
    if kind is FailureClass.CRASH and deleted is not None and (pod is None or _misses_another(pod)):
        return Cause.of(reasons.POD_DELETED, deleted)
    if pod is not None and _was_deleted(pod):
        return Cause.of(reasons.POD_DELETED, pod.departure or f"pod {pod.name} was deleted")
    if pod is None and kind is FailureClass.CRASH and child.lost_pod:
        untold = f"{child.message or f'{child.name} failed'}: no pod told why, or it was removed after it"
        return deleted_while_running(status, child) or Cause.of(reasons.CHILD_FAILED, untold)
    if pod is None:
        return Cause.of(reasons.CHILD_FAILED, child.message or f"{child.name} failed.")
    if pod.failure is not None:
        return Cause(pod.failure.reason, pod.failure.message)
    if pod.refused_by_node is not None:
        reason = reasons.CHIPS_REFUSED if _asks_wrongly(pod) else reasons.NODE_REFUSES_POD
        return Cause.of(reason, f"{pod.name}: {pod.refused_by_node}")
    return Cause.of(reasons.POD_FAILED, f"{pod.name}: {pod.exit_text}")


def _seen_before(status: StageStatus, reason: Reason) -> str | None:
    """What the pod itself told while it was there: it may be gone before its child has failed."""
    if status.reason != reason.name or status.message is None or status.message.startswith(TRIED_AGAIN):
        return None
    return status.message.removeprefix(TRIED_AGAIN_SOON)


def _misses_another(pod: Pod) -> bool:
    """True for a pod that tells only of another one's end."""
    return _lost_peer(pod) or (pod.failure is not None and pod.failure.reason == reasons.INTERRUPTED.name)


def _was_deleted(pod: Pod) -> bool:
    """True for a pod that was to end, and did so by that alone. Those of a child that has failed are deleted after it,
    and explain nothing: another one has ended before them.
    """
    told = pod.exit_code in (None, EXIT_TERMINATED, EXIT_KILLED)
    return pod.terminating and not pod.disrupted and pod.failure is None and told and pod.refused_by_node is None


def _disruption_of(pod: Pod) -> str:
    return pod.departure or f"{pod.name}: {pod.exit_text or 'is being taken away'}"
