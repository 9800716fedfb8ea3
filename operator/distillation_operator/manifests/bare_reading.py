"""Children and pods by the few facts that stop them: whose they are, whether they run, since when, on how many chips.

For jobs on which a decision failed. Only what the API server vouches for is read.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from distillation_api.accelerators import PLATFORMS
from distillation_operator.manifests.labels import CHILD_LABEL, STAGE_LABEL
from distillation_operator.manifests.pod import CONTAINER
from distillation_operator.manifests.pod_failure_policy import read_count
from distillation_operator.pipeline.observed import Child, ChildState, Pod
from distillation_operator.pipeline.status.times import later, parse_time

Object = Mapping[str, Any]


def bare_children(uid: str, children: Iterable[Object]) -> list[Child]:
    """Those Jobs and JobSets that the DistillationJob with this uid owns."""
    return [_bare_child(child) for child in children if _is_owned(child, uid)]


def bare_pods(pods: Iterable[Object]) -> list[Pod]:
    """Pods by when they ran, and on what."""
    return [_bare_pod(pod) for pod in pods]


def chips_asked_for(pod: Object) -> int:
    """The accelerator chips of a pod's stage container."""
    for container in (pod.get("spec") or {}).get("containers") or []:
        if container.get("name") == CONTAINER:
            limits = (container.get("resources") or {}).get("limits") or {}
            counts = (read_count(str(limits.get(platform.resource, ""))) for platform in PLATFORMS.values())
            return max(counts, default=0)
    return 0


def _bare_child(child: Object) -> Child:
    metadata = child["metadata"]
    return Child(
        name=metadata["name"],
        stage=(metadata.get("labels") or {}).get(STAGE_LABEL, ""),
        attempt=0,
        state=ChildState.COMPLETE if has_ended(child) else ChildState.ACTIVE,
        terminating="deletionTimestamp" in metadata,
    )


def _is_owned(child: Object, uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in child["metadata"].get("ownerReferences") or [])


def has_ended(child: Object) -> bool:
    """Whether a Job or JobSet says so."""
    conditions = (child.get("status") or {}).get("conditions") or []
    return any(c.get("type") in ("Complete", "Completed", "Failed") and c.get("status") == "True" for c in conditions)


def pod_has_ended(pod: Object) -> bool:
    """Whether a pod's program has, though others of its containers may still run."""
    return bool(_terminated(pod)) or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _terminated(pod: Object) -> Object:
    containers = (pod.get("status") or {}).get("containerStatuses") or []
    state: Object = next((c.get("state") or {} for c in containers if c.get("name") == CONTAINER), {})
    return state.get("terminated") or {}


def _bare_pod(pod: Object) -> Pod:
    finished, started = _terminated(pod).get("finishedAt"), (pod.get("status") or {}).get("startTime")
    return Pod(
        name=pod["metadata"]["name"],
        child=(pod["metadata"].get("labels") or {}).get(CHILD_LABEL, ""),
        index=0,
        stage=(pod["metadata"].get("labels") or {}).get(STAGE_LABEL, ""),
        ended=pod_has_ended(pod),
        started=later(started, pod["metadata"].get("creationTimestamp")) if started else None,
        finished=parse_time(finished) if finished else None,
        chips=chips_asked_for(pod),
    )
