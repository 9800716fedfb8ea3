"""What is remembered of an object: the fields that decisions read, cut to what they can use. All else is others' to
write, and would fill the memory.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from distillation_operator.manifests.labels import (
    ATTEMPT_LABEL,
    CHILD_LABEL,
    FINGERPRINT_ANNOTATION,
    JOB_LABEL,
    KUEUE_LABEL,
    OUTPUT_ANNOTATION,
    PRIORITY_LABEL,
    STAGE_LABEL,
)
from distillation_operator.manifests.pod import CONTAINER
from distillation_operator.manifests.pod_failure_policy import FAILURES_ANNOTATION, IGNORED_FAILURES_ANNOTATION
from distillation_operator.manifests.reading import JOB_INDEX_LABEL, JOBSET_INDEX_LABEL, JOBSET_NAME_LABEL
from distillation_operator.pipeline.decision.retry_request import RETRY_ANNOTATION

Object = Mapping[str, Any]

TEXT_LIMIT = 4096
"""Characters of a text: the kubelet's limit for a termination message, the longest that is read whole."""
_METADATA = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
_LABELS = (
    JOB_LABEL, STAGE_LABEL, ATTEMPT_LABEL, CHILD_LABEL, KUEUE_LABEL, PRIORITY_LABEL, JOBSET_NAME_LABEL,
    JOBSET_INDEX_LABEL, JOB_INDEX_LABEL,
)  # fmt: skip
_ANNOTATIONS = (FINGERPRINT_ANNOTATION, OUTPUT_ANNOTATION, FAILURES_ANNOTATION, IGNORED_FAILURES_ANNOTATION)
_CLEAN_UP_LABELS = (STAGE_LABEL, ATTEMPT_LABEL, JOBSET_NAME_LABEL)
_CLEAN_UP_CONDITION = ("type", "status", "lastTransitionTime")
_CONDITION = ("type", "status", "reason", "message", "lastTransitionTime")
_OWNER = ("uid", "controller")
_POD_STATUS = ("phase", "reason", "message", "startTime")
_STATES = {
    "running": ("startedAt",),
    "waiting": ("reason", "message"),
    "terminated": ("exitCode", "reason", "message", "startedAt", "finishedAt"),
}
_LIST_LIMIT = 32
"""Members of a list; controllers write a handful."""


def kept_job(job: Object) -> Object:
    """A DistillationJob: its spec and status whole, which the API server bounds, and what names it."""
    kept = {name: job[name] for name in ("apiVersion", "kind", "spec", "status") if name in job}
    metadata = job["metadata"]
    annotations = _picked(metadata.get("annotations") or {}, (RETRY_ANNOTATION,))
    return {**kept, "metadata": {**_picked(metadata, _METADATA), "annotations": annotations}}


def kept_ended_child(kind: str, child: Object) -> Object:
    """A Job or JobSet of a job that has ended: whose it is, and whether it runs."""
    kept = kept_child(kind, child)
    before = kept["metadata"]
    metadata = {
        **before,
        "labels": _picked(before["labels"], _CLEAN_UP_LABELS),
        "annotations": _picked(before["annotations"], (OUTPUT_ANNOTATION,)),
    }
    conditions = [_picked(condition, _CLEAN_UP_CONDITION) for condition in kept["status"]["conditions"]]
    return {**kept, "metadata": metadata, "status": {"conditions": conditions}}


def kept_child(kind: str, child: Object) -> Object:
    """A Job, JobSet or pod."""
    status = child.get("status") or {}
    kept: dict[str, Any] = {"conditions": _listed(status.get("conditions"), _CONDITION)}
    spec: Object = {"suspend": bool((child.get("spec") or {}).get("suspend", False))}
    if kind == "Pod":
        kept |= _picked(status, _POD_STATUS)
        for containers in ("initContainerStatuses", "containerStatuses"):
            told = [one for one in status.get(containers) or () if _tells(one)]
            kept[containers] = [_container(one) for one in told[:_LIST_LIMIT]]
        spec = _pod_spec(child.get("spec") or {})
    metadata = child["metadata"]
    kept_metadata = {
        **_picked(metadata, _METADATA),
        "labels": _picked(metadata.get("labels") or {}, _LABELS),
        "annotations": _picked(metadata.get("annotations") or {}, _ANNOTATIONS),
        "ownerReferences": _listed(metadata.get("ownerReferences"), _OWNER),
    }
    return {"kind": kind, "metadata": kept_metadata, "spec": spec, "status": kept}


def _pod_spec(spec: Object) -> Object:
    containers = [container for container in spec.get("containers") or [] if container.get("name") == CONTAINER][:1]
    limits = [(container.get("resources") or {}).get("limits") or {} for container in containers]
    return {
        **_picked(spec, ("nodeName",)),
        "containers": [{"name": CONTAINER, "resources": {"limits": dict(of_one)}} for of_one in limits],
    }


def _tells(status: Object) -> bool:
    """Of the containers beside the program only those that don't run may tell something."""
    return status.get("name") == CONTAINER or not {"waiting", "terminated"}.isdisjoint(status.get("state") or {})


def _container(status: Object) -> Object:
    before = (status.get("lastState") or {}).get("terminated")
    # How one before it has ended tells why it isn't started again at once.
    last = {} if before is None else {"lastState": _state({"terminated": before})}
    return {**_picked(status, ("name",)), "state": _state(status.get("state") or {}), **last}


def _state(state: Object) -> Object:
    return {name: _picked(state[name] or {}, fields) for name, fields in _STATES.items() if name in state}


def _listed(members: Iterable[Object] | None, fields: Iterable[str]) -> list[Object]:
    return [_picked(member, fields) for member in list(members or ())[:_LIST_LIMIT]]


def _picked(thing: Object, fields: Iterable[str]) -> dict[str, Any]:
    return {name: _cut(thing[name]) for name in fields if name in thing}


def _cut(value: Any) -> Any:
    return value[:TEXT_LIMIT] if isinstance(value, str) else value
