"""How a pod goes that something outside ends, in a sentence: by its own condition, or for want of one."""

from collections.abc import Mapping
from typing import Any

from distillation_operator.manifests.pod_failure_policy import DISRUPTED, disruption

Object = Mapping[str, Any]

_WAYS = {
    "EvictionByEvictionAPI": "was evicted",
    "PreemptionByScheduler": "was preempted",
    "DeletionByTaintManager": "was evicted by a taint",
    "DeletionByPodGC": "was removed",
    "TerminationByKubelet": "was ended by the kubelet",
}
"""By the reason of the condition DisruptionTarget."""


def disrupted_text(pod: Object) -> str | None:
    """Of a pod that preemption, eviction or the loss of its node takes away: ``pod X was evicted from NODE: ...``."""
    taken = disruption(pod)
    if taken is None:
        return None
    reason = taken.partition(":")[0]
    way = _WAYS.get(reason, "was taken away")
    node = (pod.get("spec") or {}).get("nodeName")
    where = f" from {node}" if node else ""
    return f"pod {pod['metadata']['name']} {way}{where}" + (f": {taken}" if taken != DISRUPTED else "")


def deleted_text(pod: Object) -> str | None:
    """Of a pod that goes without such a condition."""
    if "deletionTimestamp" not in pod["metadata"] or disruption(pod) is not None:
        return None
    return f"pod {pod['metadata']['name']} was deleted"
