"""What the watches have told: DistillationJobs, their children and pods. Only what decisions need; the newest wins.

Labels select what is watched, and anybody may write them. What is kept has an owner that is known: a DistillationJob,
or a Job or JobSet that one of these owns. The rest costs neither memory nor a reconcile.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from distillation_operator.controller.queue import Key
from distillation_operator.controller.shared_work import SharedWork, storage_of
from distillation_operator.manifests.kept_fields import kept_child, kept_job
from distillation_operator.manifests.labels import JOB_LABEL, STAGE_LABEL
from distillation_operator.manifests.reading import JOBSET_NAME_LABEL, working_in

Object = Mapping[str, Any]

GONE_SECONDS = 60.0
"""For so long an answer that was on its way when something was deleted may still come; several times a call's time."""
GONE_KEPT = 10_000
MISSED_KEPT = 64
_MANY = "*"


class Cache:
    """Objects by kind, key and name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._jobs: dict[Key, Object] = {}
        self._children: dict[Key, dict[tuple[str, str], Object]] = {}
        self._owners: dict[Key, set[str]] = {}
        """UIDs of the Jobs and JobSets that are known."""
        self._missed: dict[Key, set[str]] = {}
        """UIDs of owners that weren't known when something of theirs came; a watch may bring them later."""
        self._listed: set[Key] = set()
        self._work = SharedWork()
        self._gone: dict[str, float] = {}
        """UIDs of children that are known to be gone, and since when, oldest first."""

    def __len__(self) -> int:
        return len(self._jobs) + sum(map(len, self._children.values()))

    def put_job(self, job: Object) -> Key:
        """Remember a DistillationJob, unless a newer version is known."""
        key = (job["metadata"]["namespace"], job["metadata"]["name"])
        known = self._jobs.get(key)
        if known is None or _newer(job, known):
            if known is not None and _uid(known) != _uid(job):
                self.drop_job(key)
            self._jobs[key] = kept_job(job)
        return key

    def drop_job(self, key: Key) -> None:
        """Forget a DistillationJob and its children."""
        self._jobs.pop(key, None)
        self._children.pop(key, None)
        self._owners.pop(key, None)
        self._missed.pop(key, None)
        self._listed.discard(key)
        self._work.drop_job(key)

    def at_work(self, key: Key) -> dict[str, str]:
        """Directories of the job's storage in which other jobs' children work, and these jobs."""
        job = self._jobs.get(key)
        return self._work.of_others(key, storage_of(job)) if job is not None else {}

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
        if key is None or key not in self._jobs or _uid(child) in self._gone:
            return None
        children = self._children.setdefault(key, {})
        slot = (kind, child["metadata"]["name"])
        known = children.get(slot)
        if not self._is_ours(key, kind, child):
            self._miss(key, child)
            if known is None or _uid(known) != _uid(child) or not _newer(child, known):
                return None
            # Somebody has taken it from us.
            self._forget(key, slot)
            return key
        if known is None or _newer(child, known):
            if known is not None and _uid(known) != _uid(child):
                self._forget(key, slot)
            children[slot] = kept_child(kind, child)
            if kind != "Pod":
                self._own(key, _uid(child))
                self._note_work(key, child)
        return key

    def drop_child(self, kind: str, child: Object) -> Key | None:
        """Forget a child that is gone (not one of the same name that came after it); None when it wasn't known."""
        key = owner_key(child)
        if key is None or key not in self._jobs:
            return None
        self._note_gone(_uid(child))
        slot = (kind, child["metadata"]["name"])
        known = self._children.get(key, {}).get(slot)
        if known is None or _uid(known) != _uid(child):
            return None
        self._forget(key, slot)
        return key

    def begin_list(self, key: Key) -> None:
        """All of a job's children are about to be listed, effects before causes but owners before what they own."""
        self._missed.pop(key, None)

    def replace_children(
        self, key: Key, kind: str, listed: Iterable[Object], version: int | None
    ) -> tuple[list[Object], list[Object]]:
        """Take a list of a job's children of one kind, made at ``version``, for the truth, but for what is newer.

        Returns what was listed: what is ours, and what only has our labels.
        """
        children = self._children.setdefault(key, {})
        items = {child["metadata"]["name"]: child for child in listed}
        for slot, known in list(children.items()):
            later = version is not None and int(known["metadata"]["resourceVersion"]) > version
            if slot[0] == kind and slot[1] not in items and not later:
                self._forget(key, slot)
        ours: list[Object] = []
        others: list[Object] = []
        for child in items.values():
            (ours if self._is_ours(key, kind, child) else others).append(child)
            self.put_child(kind, child)
        return ours, others

    def end_list(self, key: Key) -> None:
        """All of a job's children were listed: from now on watches tell what changes."""
        if key in self._jobs:
            self._listed.add(key)

    def distrust(self, key: Key) -> None:
        """Something of a job may have been missed: it is to be listed."""
        self._listed.discard(key)

    def is_listed(self, key: Key) -> bool:
        """Whether all of a job's children are known."""
        return key in self._listed

    def child(self, key: Key, kind: str, name: str) -> Object | None:
        """A job's child, if it is known."""
        return self._children.get(key, {}).get((kind, name))

    def children(self, key: Key, kind: str) -> list[Object]:
        """A job's children of one kind, those that JobSets have made among them."""
        return [child for slot, child in self._children.get(key, {}).items() if slot[0] == kind]

    def _is_ours(self, key: Key, kind: str, child: Object) -> bool:
        owners = _owners(child)
        known = self._children.get(key, {}).get((kind, child["metadata"]["name"]))
        if known is not None and _uid(known) == _uid(child) and owners & _owners(known):
            # A pod may outlive its Job; until it is gone it may write.
            return True
        job = self._jobs.get(key)
        if kind != "Pod" and job is not None and _uid(job) in owners:
            return True
        return not owners.isdisjoint(self._owners.get(key, ()))

    def _note_work(self, key: Key, child: Object) -> None:
        directory = working_in(child)
        if directory is None:
            self._work.drop(key, child["metadata"]["name"])
        else:
            self._work.put(key, child["metadata"]["name"], storage_of(self._jobs[key]), directory)

    def _own(self, key: Key, uid: str) -> None:
        self._owners.setdefault(key, set()).add(uid)
        missed = self._missed.get(key, set())
        if uid in missed or _MANY in missed:
            # Of what it owns something came before it, and was passed over.
            self.distrust(key)

    def _miss(self, key: Key, child: Object) -> None:
        missed = self._missed.setdefault(key, set())
        missed |= {_MANY} if len(missed) >= MISSED_KEPT else set(list(_owners(child))[:MISSED_KEPT])

    def _forget(self, key: Key, slot: tuple[str, str]) -> None:
        child = self._children[key].pop(slot)
        self._work.drop(key, slot[1])
        self._owners.get(key, set()).discard(_uid(child))

    def _note_gone(self, uid: str) -> None:
        now = self._clock()
        self._gone.pop(uid, None)
        self._gone[uid] = now
        while (oldest := next(iter(self._gone))) != uid and (
            len(self._gone) > GONE_KEPT or now - self._gone[oldest] > GONE_SECONDS
        ):
            del self._gone[oldest]


def owner_key(child: Object) -> Key | None:
    """The DistillationJob that a child's labels name."""
    labels = child["metadata"].get("labels") or {}
    if JOB_LABEL not in labels or STAGE_LABEL not in labels:
        return None
    return child["metadata"]["namespace"], labels[JOB_LABEL]


def is_made_by_jobset(job: Object) -> bool:
    """True for the Jobs that the JobSet controller makes."""
    return JOBSET_NAME_LABEL in (job["metadata"].get("labels") or {})


def _uid(thing: Object) -> str:
    return str(thing["metadata"].get("uid", ""))


def _owners(child: Object) -> set[str]:
    return {str(owner.get("uid", "")) for owner in child["metadata"].get("ownerReferences") or []}


def _newer(this: Object, other: Object) -> bool:
    # Versions are only compared for order, as the API conventions allow since Kubernetes 1.35 and etcd always did.
    return int(this["metadata"]["resourceVersion"]) >= int(other["metadata"]["resourceVersion"])
