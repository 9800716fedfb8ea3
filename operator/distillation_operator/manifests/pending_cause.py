"""What keeps a pod from running, or from running well, in Kubernetes' own words: by its status and by Events about it.

The status tells of nodes, images and crashes; volumes and sandboxes are told of in Events alone. All of it is foreign
text: it is cut, and made one line that can be printed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from distillation_api import reasons
from distillation_operator.manifests.departure import deleted_text, disrupted_text
from distillation_operator.manifests.pod import CONTAINER
from distillation_operator.pipeline.cause import Cause

Object = Mapping[str, Any]

WORDS_LIMIT = 600
"""Characters of what is told; the status's own limit is somewhat higher."""
_LAST_WORDS = 200
_WAITING = {
    reason.name
    for reason in (
        reasons.ERR_IMAGE_PULL, reasons.IMAGE_PULL_BACK_OFF, reasons.INVALID_IMAGE_NAME, reasons.ERR_IMAGE_NEVER_PULL,
        reasons.CREATE_CONTAINER_CONFIG_ERROR, reasons.CREATE_CONTAINER_ERROR, reasons.RUN_CONTAINER_ERROR,
        reasons.CRASH_LOOP_BACK_OFF,
    )
}  # fmt: skip
_BEFORE_CONTAINERS = {
    reason.name
    for reason in (
        reasons.FAILED_MOUNT, reasons.FAILED_MAP_VOLUME, reasons.FAILED_ATTACH_VOLUME,
        reasons.FAILED_CREATE_POD_SANDBOX, reasons.NETWORK_NOT_READY,
    )
}  # fmt: skip
_HARMLESS = {"DNSConfigForming", "FailedToRetrieveImagePullSecret", "FailedScheduling"}
"""Warnings that keep no pod from starting, or that its status has in better words."""
_GOES_ON = {"Scheduled", "Pulling", "Pulled", "Started"}
"""What is said when all that was in the way before is over."""
_ENDED_BY = {
    reasons.FAILED_ATTACH_VOLUME.name: {"SuccessfulAttachVolume"},
    reasons.FAILED_SCALE_UP.name: {"TriggeredScaleUp"},
}
_WAITED_IN_VAIN = "Unable to attach or mount volumes"
"""How the kubelet says that it has waited; why, stands in another Event."""


def pending_cause(pod: Object) -> Cause | None:
    """What a living pod's own status says is in its way."""
    status = pod.get("status") or {}
    taken, deleted = disrupted_text(pod), deleted_text(pod)
    if taken is not None:
        return Cause.of(reasons.POD_DISRUPTED, one_line(taken))
    if deleted is not None:
        # A pod that its Job deletes on a lost node goes on to be there: the node is why, and what that costs.
        return _of_node(pod, status) or Cause.of(reasons.POD_DELETED, one_line(deleted))
    return _of_containers(status) or _of_scheduler(pod, status) or _of_node(pod, status)


def with_event(pod: Object, own: Cause | None, told: Cause | None) -> Cause | None:
    """What its status says, and what Events say of it: of a pod without a node, the autoscaler's words too."""
    if told is None or not waits_to_start(pod):
        return own
    if own is None:
        return told
    return Cause(own.reason, one_line(f"{own.message} {told.reason}: {told.message}")) if _has_no_node(pod) else own


def waits_to_start(pod: Object) -> bool:
    """True for a pod that is to start and of which no container's state says why it doesn't."""
    status = pod.get("status") or {}
    if status.get("phase", "Pending") != "Pending" or "deletionTimestamp" in pod["metadata"]:
        return False
    return not _has_begun(status) and _of_containers(status) is None


def cause_of_events(pod: Object, events: Iterable[Object]) -> Cause | None:
    """The newest Warning that still keeps a pod from starting; None where there is none."""
    said = [event for event in events if isinstance(event.get("message"), str) and event.get("reason")]
    wanted = [event for event in said if event.get("type") == "Warning" and _matters(pod, str(event["reason"]))]
    current = [event for event in wanted if not _is_over(event, said)]
    known = [event for event in current if event["reason"] in _BEFORE_CONTAINERS]
    newest = max(known or current, key=_telling, default=None)
    return None if newest is None else Cause(one_line(str(newest["reason"])), one_line(newest["message"]))


def _telling(event: Object) -> tuple[bool, str]:
    return not event["message"].startswith(_WAITED_IN_VAIN), _last_seen(event)


def _matters(pod: Object, reason: str) -> bool:
    of_scaling = reason == reasons.FAILED_SCALE_UP.name
    return of_scaling if _has_no_node(pod) else not of_scaling and reason not in _HARMLESS


def _is_over(event: Object, said: Iterable[Object]) -> bool:
    ends = _GOES_ON | _ENDED_BY.get(event["reason"], set())
    return any(later["reason"] in ends and _last_seen(later) > _last_seen(event) for later in said)


def _last_seen(event: Object) -> str:
    """When it was last so, to the second, as text that can be compared."""
    series = (event.get("series") or {}).get("lastObservedTime")
    times = series, event.get("lastTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp")
    return str(next(filter(None, times), ""))[:19]


def _has_no_node(pod: Object) -> bool:
    return not (pod.get("spec") or {}).get("nodeName")


def _has_begun(status: Object) -> bool:
    state = next((c.get("state") or {} for c in _containers(status) if c.get("name") == CONTAINER), {})
    return "running" in state or "terminated" in state


def _containers(status: Object) -> Iterator[Object]:
    """In the order in which they start."""
    yield from status.get("initContainerStatuses") or []
    yield from status.get("containerStatuses") or []


def _of_containers(status: Object) -> Cause | None:
    return next((cause for one in _containers(status) if (cause := _of_container(one)) is not None), None)


def _of_container(container: Object) -> Cause | None:
    state, name = container.get("state") or {}, str(container.get("name"))
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    where = "" if name == CONTAINER else f"{name}: "
    if waiting.get("reason") in _WAITING:
        before = (container.get("lastState") or {}).get("terminated") or {}
        last = f"; {last_words(before)}" if before.get("exitCode") else ""
        return Cause(waiting["reason"], one_line(f"{where}{waiting.get('message') or waiting['reason']}{last}"))
    if where and ended.get("exitCode"):
        return Cause.of(reasons.CONTAINER_CRASHED, one_line(f"{where}{last_words(ended)}"))
    return None


def last_words(ended: Object) -> str:
    """How a container that isn't the program has ended."""
    tail = str(ended.get("message") or "").strip()[-_LAST_WORDS:]
    kind = f" ({ended['reason']})" if ended.get("reason") not in (None, "Error") else ""
    return f"it ended with exit code {ended.get('exitCode')}{kind}" + (f": {tail}" if tail else "")


def failed_before(status: Object) -> str | None:
    """How a container that has to end before the program starts has failed, in a pod whose program never started."""
    for one in status.get("initContainerStatuses") or []:
        ended = (one.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return one_line(f"{one.get('name')}: {last_words(ended)}")
    return None


def _of_scheduler(pod: Object, status: Object) -> Cause | None:
    # Written by a scheduler that hadn't seen yet that the pod has a node.
    if status.get("phase") == "Running" or not _has_no_node(pod):
        return None
    for condition in _false_conditions(status, "PodScheduled"):
        reason = condition.get("reason") or reasons.UNSCHEDULABLE.name
        if reason == reasons.SCHEDULING_GATED.name and not condition.get("message"):
            return Cause(reason, "a gate of the pod keeps it from the scheduler")
        return Cause(reason, one_line(_without_preemption(condition.get("message") or "")))
    return None


def _of_node(pod: Object, status: Object) -> Cause | None:
    # The kubelet gives a reason; the node controller takes "True" back and gives none.
    lost = any(not condition.get("reason") for condition in _false_conditions(status, "Ready"))
    if status.get("phase") != "Running" or not lost:
        return None
    node = (pod.get("spec") or {}).get("nodeName") or "its node"
    return Cause.of(reasons.NODE_NOT_READY, f"{pod['metadata']['name']}: {node} doesn't answer")


def _false_conditions(status: Object, kind: str) -> Iterator[Object]:
    for condition in status.get("conditions") or []:
        if condition["type"] == kind and condition["status"] == "False":
            yield condition


def _without_preemption(message: str) -> str:
    """What the scheduler says of nodes, without its words on why preemption doesn't help either."""
    said = re.split(r" (?:no new claims to deallocate, )?preemption: ", message, maxsplit=1)[0]
    return said.strip()


def one_line(text: str) -> str:
    """One printable line of bounded length."""
    line = " ".join(text[: 4 * WORDS_LIMIT].split())
    line = "".join(character if character.isprintable() else "�" for character in line)
    return line if len(line) <= WORDS_LIMIT else line[: WORDS_LIMIT - 1] + "…"
