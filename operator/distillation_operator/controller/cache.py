"""What the watches have told: DistillationJobs, their children and pods. Only what decisions need; the newest wins."""

from collections.abc import Iterable, Mapping
from typing import Any

from distillation_operator.controller.queue import Key
from distillation_operator.manifests.labels import JOB_LABEL, STAGE_LABEL
from distillation_operator.manifests.reading import JOBSET_NAME_LABEL

Object = Mapping[str, Any]


class Cache:
    """Objects by kind, key and name."""

    def __init__(self) -> None:
        self._jobs: dict[Key, Object] = {}
        self._children: dict[Key, dict[tuple[str, str], Object]] = {}

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
        if key is None:
            return None
        children = self._children.setdefault(key, {})
        slot = (kind, child["metadata"]["name"])
        known = children.get(slot)
        if known is None or known["metadata"]["uid"] != child["metadata"]["uid"] or _newer(child, known):
            children[slot] = _slim(child)
        return key

    def drop_child(self, kind: str, child: Object) -> Key | None:
        """Forget a child that is gone (not one of the same name that came after it)."""
        key = owner_key(child)
        if key is not None:
            children = self._children.get(key, {})
            known = children.get((kind, child["metadata"]["name"]))
            if known is not None and known["metadata"]["uid"] == child["metadata"]["uid"]:
                del children[kind, child["metadata"]["name"]]
        return key

    def replace_children(self, key: Key, kind: str, listed: Iterable[Object]) -> None:
        """Take a fresh list of a job's children of one kind for the truth."""
        children = self._children.setdefault(key, {})
        for slot in [slot for slot in children if slot[0] == kind]:
            del children[slot]
        for child in listed:
            children[kind, child["metadata"]["name"]] = _slim({"kind": kind, **child})

    def children(self, key: Key, kind: str) -> list[Object]:
        """A job's children of one kind."""
        return [child for slot, child in self._children.get(key, {}).items() if slot[0] == kind]

    def own_children(self, key: Key) -> list[Object]:
        """The Jobs and JobSets of attempts, without the Jobs that JobSets have made."""
        jobs = [job for job in self.children(key, "Job") if not is_made_by_jobset(job)]
        return jobs + self.children(key, "JobSet")


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
        slim["spec"] = {"suspend": (thing.get("spec") or {}).get("suspend", False)}
    return slim
