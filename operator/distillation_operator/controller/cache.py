"""What the watches have told: DistillationJobs, their children and pods. Only what decisions need; the newest wins."""

from collections.abc import Iterable, Mapping
from typing import Any

from distillation_operator.controller.queue import Key
from distillation_operator.manifests.labels import JOB_LABEL, STAGE_LABEL
from distillation_operator.manifests.pod import CONTAINER
from distillation_operator.manifests.reading import JOBSET_NAME_LABEL

Object = Mapping[str, Any]


class Cache:
    """Objects by kind, key and name."""

    def __init__(self) -> None:
        self._jobs: dict[Key, Object] = {}
        self._children: dict[Key, dict[tuple[str, str], Object]] = {}
        self._gone: dict[Key, set[str]] = {}
        """UIDs of children that are known to be gone: an answer that was on its way meanwhile may still have them."""

    def put_job(self, job: Object) -> Key:
        """Remember a DistillationJob, unless a newer version is known."""
        key = (job["metadata"]["namespace"], job["metadata"]["name"])
        known = self._jobs.get(key)
        if known is None or _newer(job, known):
            self._jobs[key] = _slim(job)
        return key

    def drop_job(self, key: Key) -> None:
        """Forget a DistillationJob and its children."""
        self._jobs.pop(key, None)
        self._children.pop(key, None)
        self._gone.pop(key, None)

    def job(self, key: Key) -> Object | None:
        """A DistillationJob, if it exists."""
        return self._jobs.get(key)

    def jobs(self) -> list[Key]:
        """All DistillationJobs."""
        return list(self._jobs)

    def all_jobs(self) -> list[Object]:
        """All DistillationJobs, as they are known."""
        return list(self._jobs.values())

    def put_child(self, kind: str, child: Object) -> Key | None:
        """Remember a Job, JobSet or Pod of ours; its DistillationJob's key, None when it is nobody's."""
        key = owner_key(child)
        if key is None or child["metadata"]["uid"] in self._gone.get(key, ()):
            return key
        children = self._children.setdefault(key, {})
        slot = (kind, child["metadata"]["name"])
        known = children.get(slot)
        if known is None or _newer(child, known):
            children[slot] = _slim(child)
        return key

    def drop_child(self, kind: str, child: Object) -> Key | None:
        """Forget a child that is gone (not one of the same name that came after it)."""
        key = owner_key(child)
        if key is None:
            return None
        children = self._children.get(key, {})
        slot = (kind, child["metadata"]["name"])
        if slot in children and children[slot]["metadata"]["uid"] == child["metadata"]["uid"]:
            del children[slot]
        if key in self._jobs:
            self._gone.setdefault(key, set()).add(child["metadata"]["uid"])
        elif not children:
            self._children.pop(key, None)
        return key

    def replace_children(self, key: Key, kind: str, listed: Iterable[Object], version: int | None) -> None:
        """Take a list of a job's children of one kind, made at ``version``, for the truth, but for what is newer."""
        children = self._children.setdefault(key, {})
        items = {child["metadata"]["name"]: child for child in listed}
        for slot, known in list(children.items()):
            later = version is not None and int(known["metadata"]["resourceVersion"]) > version
            if slot[0] == kind and slot[1] not in items and not later:
                del children[slot]
        for child in items.values():
            self.put_child(kind, child)

    def children(self, key: Key, kind: str) -> list[Object]:
        """A job's children of one kind, those that JobSets have made among them."""
        return [child for slot, child in self._children.get(key, {}).items() if slot[0] == kind]


def owner_key(child: Object) -> Key | None:
    """The DistillationJob that a child's labels name."""
    labels = child["metadata"].get("labels") or {}
    if JOB_LABEL not in labels or STAGE_LABEL not in labels:
        return None
    return child["metadata"]["namespace"], labels[JOB_LABEL]


def is_made_by_jobset(job: Object) -> bool:
    """True for the Jobs that the JobSet controller makes."""
    return JOBSET_NAME_LABEL in (job["metadata"].get("labels") or {})


def _newer(this: Object, other: Object) -> bool:
    # Versions are only compared for order, as the API conventions allow since Kubernetes 1.35 and etcd always did.
    return int(this["metadata"]["resourceVersion"]) >= int(other["metadata"]["resourceVersion"])


def _slim(thing: Object) -> Object:
    """Without what no decision looks at: most of an object's size."""
    metadata = {key: value for key, value in thing["metadata"].items() if key != "managedFields"}
    slim = {**thing, "metadata": metadata}
    if thing.get("kind") in ("Job", "JobSet", "Pod"):
        spec = thing.get("spec") or {}
        slim["spec"] = {"suspend": spec.get("suspend", False)}
        if thing["kind"] == "Pod":
            stage = {"name": CONTAINER, "resources": {"limits": _limits(spec)}}
            slim["spec"] = {"nodeName": spec.get("nodeName"), "containers": [stage]}
    return slim


def _limits(spec: Object) -> Object:
    for container in spec.get("containers") or []:
        if container.get("name") == CONTAINER:
            return (container.get("resources") or {}).get("limits") or {}
    return {}
