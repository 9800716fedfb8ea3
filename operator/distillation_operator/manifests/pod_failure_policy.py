"""The pod failure policies of Jobs, and what Kubernetes tells afterwards of the rule that a pod has met.

``pipeline.failure_policy`` says who counts what.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from distillation_api.contract import PERMANENT_EXIT_CODES
from distillation_operator.manifests.pod import CONTAINER
from distillation_operator.pipeline.observed import FailureClass

Object = Mapping[str, Any]

DISRUPTED = "DisruptionTarget"
"""The condition of a pod that preemption, eviction or the loss of its node takes away."""
FAILURES_ANNOTATION = "batch.kubernetes.io/job-index-failure-count"
"""On each pod of a Job with a back-off limit per index: how many pods of its index have failed before it."""
IGNORED_FAILURES_ANNOTATION = "batch.kubernetes.io/job-index-ignored-failure-count"
"""The same for failures that a rule with the action Ignore has met; absent while there are none."""
_NOT_ADMITTED = {
    "UnexpectedAdmissionError", "NodeAffinity", "TopologyAffinityError", "NodeShutdown", "InvalidNodeInfo",
    "VolumeAttachmentLimitExceeded",
}  # fmt: skip
"""The kubelet's reasons beside OutOfcpu, OutOfmemory and the like."""
_GREATEST_COUNT = 2**31 - 1
_PERMANENT = {
    "action": "FailJob",
    "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": list(PERMANENT_EXIT_CODES)},
}
_ON_DISRUPTION = {"onPodConditions": [{"type": DISRUPTED}]}
_TAKEN_POD = re.compile(rf"Pod [^/\s]+/(\S+) has condition {DISRUPTED} matching ")
_ENDED_BY_DISRUPTION = f"has condition {DISRUPTED} matching FailJob rule"
"""How a Job's condition tells the rule: in words, since the place of a rule differs between policies."""


def attempt_policy() -> dict[str, Any]:
    """For a Job whose first lost pod ends the attempt; its condition shows why, also when the pod is gone."""
    return {"rules": [{"action": "FailJob", **_ON_DISRUPTION}, _PERMANENT]}


def shard_policy() -> dict[str, Any]:
    """For an Indexed Job that tries each shard again by itself; a disruption doesn't use up the shard's retries."""
    return {"rules": [_PERMANENT, {"action": "Ignore", **_ON_DISRUPTION}]}


def failure_class(conditions: Iterable[Object]) -> FailureClass:
    """Why a child has failed, from its conditions and those of the Jobs that it made: its pods may be gone."""
    by_policy = [c for c in conditions if c["type"] == "Failed" and c.get("reason") == "PodFailurePolicy"]
    if any(_ENDED_BY_DISRUPTION in c.get("message", "") for c in by_policy):
        return FailureClass.DISRUPTION
    return FailureClass.PERMANENT if by_policy else FailureClass.CRASH


def disruption_message(conditions: Iterable[Object]) -> str | None:
    """Which pod was taken away, from the Job's condition that it has met a rule by; None where it tells of none."""
    said = (str(c.get("message") or "") for c in conditions if c["type"] == "Failed")
    found = next((match for text in said if (match := _TAKEN_POD.match(text))), None)
    return None if found is None else f"pod {found[1]} was taken away: it had the condition {DISRUPTED}"


def failed_for_pod(conditions: Iterable[Object]) -> bool:
    """True where a Job has failed for a pod that no rule was met by, and for which it starts no other one."""
    return any(c["type"] == "Failed" and c.get("reason") == "BackoffLimitExceeded" for c in conditions)


def disruption(pod: Object) -> str | None:
    """What takes or took a pod away, in Kubernetes' words; None when nothing does."""
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition["type"] == DISRUPTED and condition["status"] == "True":
            said = (condition.get("reason"), condition.get("message"))
            return ": ".join(part for part in said if part) or DISRUPTED
    return None


def refused_by_node(pod: Object) -> str | None:
    """Why the kubelet didn't admit a pod; None for all others."""
    status = pod.get("status") or {}
    reason = str(status.get("reason") or "")
    if status.get("phase") != "Failed" or not (reason in _NOT_ADMITTED or reason.startswith("OutOf")):
        return None
    return ": ".join(part for part in (reason, str(status.get("message") or "").strip()) if part)


def index_retries(pod: Object) -> tuple[int, int]:
    """Failures and disruptions of a pod's index as Kubernetes counts them, the pod's own end among them.

    Zero for pods of Jobs without a back-off limit per index, which carry no count.
    """
    annotations = pod["metadata"].get("annotations") or {}
    if FAILURES_ANNOTATION not in annotations:
        return 0, 0
    failures = read_count(annotations[FAILURES_ANNOTATION])
    ignored = read_count(annotations.get(IGNORED_FAILURES_ANNOTATION))
    status = pod.get("status") or {}
    if status.get("phase") != "Failed" or _exit_code(status) in PERMANENT_EXIT_CODES:
        return failures, ignored
    if disruption(pod) is not None:
        return failures, ignored + 1
    # A deleted pod may be of a Job that was suspended, which Kubernetes doesn't count: its successor's count tells.
    return failures if "deletionTimestamp" in pod["metadata"] else failures + 1, ignored


def read_count(text: str | None) -> int:
    """A number in a label or annotation, which anybody may have written; 0 for all that Kubernetes wouldn't write."""
    if not text or len(text) > len(str(_GREATEST_COUNT)) or not (text.isascii() and text.isdigit()):
        return 0
    count = int(text)
    return count if count <= _GREATEST_COUNT else 0


def _exit_code(status: Object) -> int | None:
    for container in status.get("containerStatuses") or []:
        if container.get("name") == CONTAINER:
            code = ((container.get("state") or {}).get("terminated") or {}).get("exitCode")
            return code if isinstance(code, int) else None
    return None
