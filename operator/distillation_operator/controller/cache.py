"""What the watches have told: DistillationJobs, their children and pods. Only what decisions need; the newest wins.

Of a job at rest a record of a few hundred bytes is kept, and of its children what their removal needs: there may be
thousands of such jobs for each one that works.

Labels select what is watched, and anybody may write them. What is kept has an owner that is known: a DistillationJob,
or a Job or JobSet that one of these owns. The rest costs neither memory nor a reconcile.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from sys import intern
from typing import Any

from distillation_operator.controller.begun_stages import BegunStages
from distillation_operator.controller.deletions import Deletions
from distillation_operator.controller.early import Early, owners_of, version_of
from distillation_operator.controller.queue import Key
from distillation_operator.controller.shared_work import SharedWork, storage_of
from distillation_operator.manifests.bare_reading import has_ended
from distillation_operator.manifests.kept_fields import kept_child, kept_ended_child, kept_job
from distillation_operator.manifests.labels import JOB_LABEL, STAGE_LABEL
from distillation_operator.manifests.reading import JOBSET_NAME_LABEL, working_in
from distillation_operator.pipeline.decision.at_rest import Rest, at_rest

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """A job at rest."""

    uid: str
    version: int
    storage: str
    """What tells storages apart: children that still run are at work there."""
    rest: Rest


class Cache:
    """Objects by kind, key and name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._jobs: dict[Key, Object] = {}
        self._ended: dict[Key, Ended] = {}
        """Jobs at rest; none of them is among the others."""
        self._children: dict[Key, dict[tuple[str, str], Object]] = {}
        self._owners: dict[Key, set[str]] = {}
        """UIDs of the Jobs and JobSets that are known."""
        self._early = Early()
        self._listed: set[Key] = set()
        self._begun = BegunStages()
        self._is_swept = False
        self._work = SharedWork()
        self._gone = Deletions(clock)

    def __len__(self) -> int:
        return self.job_count + sum(map(len, self._children.values()))

    @property
    def job_count(self) -> int:
        """How many DistillationJobs there are."""
        return len(self._jobs) + len(self._ended)

    def put_job(self, job: Object) -> Key | None:
        """Remember a DistillationJob, unless it is known in this version, or a newer one.

        Returns its key when there is something to do for it: a job at rest without children needs nothing.
        """
        metadata = job["metadata"]
        key = (intern(metadata["namespace"]), metadata["name"])
        known = self._version(key)
        if known is not None and known >= int(metadata["resourceVersion"]):
            return None
        if known is not None and self.uid(key) != metadata["uid"]:
            self.drop_job(key)
            known = None
        if self._lay_to_rest(key, job):
            return key if self._children.get(key) else None
        if known is None and self._is_swept and not job.get("status"):
            # Its children can only be made from now on, by this process.
            self._listed.add(key)
            self._begun.begin(key)
        if key in self._ended:
            self.wake(job)
        else:
            self._jobs[key] = kept_job(job)
        return key

    def settle(self, key: Key) -> None:
        """Lay a job to rest, if it has ended and its last child has too."""
        job = self._jobs.get(key)
        if job is not None:
            self._lay_to_rest(key, job)

    def wake(self, job: Object) -> None:
        """Remember a job whole that was at rest."""
        key = (job["metadata"]["namespace"], job["metadata"]["name"])
        self._ended.pop(key, None)
        # Most of what was known of its children was dropped.
        self.distrust(key)
        self._jobs[key] = kept_job(job)

    def has_live_children(self, key: Key) -> bool:
        """Whether a job has a Job or JobSet that hasn't ended and isn't being deleted."""
        return any(
            kind != "Pod"
            and not is_made_by_jobset(child)
            and not has_ended(child)
            and "deletionTimestamp" not in child["metadata"]
            for (kind, _), child in self._children.get(key, {}).items()
        )

    def drop_job(self, key: Key) -> None:
        """Forget a DistillationJob and its children."""
        self._jobs.pop(key, None)
        self._ended.pop(key, None)
        self._children.pop(key, None)
        self._forget_work(key)
        self._work.drop_job(key)

    def at_work(self, key: Key) -> Mapping[str, str]:
        """Directories of the job's storage in which other jobs' children work, and these jobs."""
        job = self._jobs.get(key)
        return self._work.of_others(key, storage_of(job)) if job is not None else {}

    def job(self, key: Key) -> Object | None:
        """A DistillationJob that isn't at rest, if it exists."""
        return self._jobs.get(key)

    def ended(self, key: Key) -> Ended | None:
        """A DistillationJob at rest, if it exists."""
        return self._ended.get(key)

    def uid(self, key: Key) -> str | None:
        """A DistillationJob's UID, if it exists."""
        ended = self._ended.get(key)
        if ended is not None:
            return ended.uid
        job = self._jobs.get(key)
        return None if job is None else _uid(job)

    def jobs(self) -> list[Key]:
        """All DistillationJobs that aren't at rest."""
        return list(self._jobs)

    def uids(self) -> dict[Key, str | None]:
        """The UIDs of all DistillationJobs that are known."""
        return {key: self.uid(key) for key in (*self._jobs, *self._ended)}

    def all_jobs(self) -> list[Object]:
        """All DistillationJobs that aren't at rest, as they are known."""
        return list(self._jobs.values())

    def ended_phases(self) -> Iterable[str]:
        """The phase of each job at rest."""
        return (ended.rest.phase for ended in self._ended.values())

    def begun_stages(self, key: Key) -> Set[str] | None:
        """The stages of a job of which a child or pod was seen since all of them were listed; None where they weren't,
        or something may have been missed since."""
        return self._begun.of(key)

    def put_child(self, kind: str, child: Object) -> Key | None:
        """Remember a Job, JobSet or Pod of ours; its DistillationJob's key when there is something new for it, None
        when there isn't, or it is nobody's."""
        key = owner_key(child)
        if key is None or _uid(child) in self._gone:
            return None
        ended = self._ended.get(key)
        if ended is not None:
            return self._put_child_of_ended(key, ended, kind, child)
        if key not in self._jobs:
            return None
        if not self._begun.note(key, child["metadata"]["labels"][STAGE_LABEL]):
            self.distrust(key)
        children = self._children.setdefault(key, {})
        slot = (kind, child["metadata"]["name"])
        known = children.get(slot)
        if not self._is_ours(key, kind, child):
            self._early.keep(key, kind, kept_child(kind, child))
            if known is None or _uid(known) != _uid(child) or not _newer(child, known):
                return None
            # Somebody has taken it from us.
            self._forget(key, slot)
            return key
        if known is not None and not _newer(child, known):
            return None
        kept = kept_child(kind, child)
        is_news = known is None or not _is_alike(known, kept)
        if known is not None and _uid(known) != _uid(child):
            self._forget(key, slot)
        children[slot] = kept
        if kind != "Pod":
            self._own(key, _uid(child))
            self._note_work(key, child, storage_of(self._jobs[key]))
        return key if is_news else None

    def drop_child(self, kind: str, child: Object) -> Key | None:
        """Forget a child that is gone (not one of the same name that came after it); None when it wasn't known."""
        key = owner_key(child)
        if key is None or (key not in self._jobs and key not in self._ended):
            return None
        self._gone.add(_uid(child))
        slot = (kind, child["metadata"]["name"])
        self._early.drop(key, *slot)
        known = self._children.get(key, {}).get(slot)
        if known is None or _uid(known) != _uid(child):
            return None
        self._forget(key, slot)
        if not self._children[key]:
            del self._children[key]
        return key

    def begin_list(self, key: Key) -> None:
        """All of a job's children are about to be listed, effects before causes but owners before what they own."""
        self._early.forget(key)
        self._begun.begin_list(key)

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
            self._begun.end_list(key, self._stages_of(key))

    def begin_sweep(self) -> None:
        """All children of all jobs are about to be listed, in the order of ``begin_list``."""
        self._begun.begin_sweep(self._jobs)
        self._early.clear()

    def drop_unlisted(
        self, kind: str, namespace: str | None, listed: Set[tuple[str, str]], version: int | None
    ) -> set[Key]:
        """Forget the children of a kind (of one namespace, or of all) that a list made at ``version`` lacks, but for
        what is newer; the jobs that have lost some. ``listed``: namespaces and names.
        """
        changed = set()
        for key, children in list(self._children.items()):
            if namespace not in (None, key[0]):
                continue
            for slot, known in list(children.items()):
                later = version is not None and version_of(known) > version
                if slot[0] == kind and (key[0], slot[1]) not in listed and not later:
                    self._forget(key, slot)
                    changed.add(key)
        return changed

    def end_sweep(self) -> None:
        """All were listed: of each job that was known before, and of which nothing was passed over, all is known."""
        self._listed |= {key for key in self._jobs if self._begun.end_sweep(key, self._stages_of(key))}
        self._is_swept = True

    def distrust(self, key: Key) -> None:
        """Something of a job may have been missed: it is to be listed."""
        self._listed.discard(key)
        self._begun.forget(key)

    def is_listed(self, key: Key) -> bool:
        """Whether all of a job's children are known."""
        return key in self._listed

    def child(self, key: Key, kind: str, name: str) -> Object | None:
        """A job's child, if it is known."""
        return self._children.get(key, {}).get((kind, name))

    def children(self, key: Key, kind: str) -> list[Object]:
        """A job's children of one kind, those that JobSets have made among them."""
        return [child for slot, child in self._children.get(key, {}).items() if slot[0] == kind]

    def _lay_to_rest(self, key: Key, job: Object) -> bool:
        rest = at_rest(job)
        if rest is None or self.has_live_children(key):
            return False
        self._jobs.pop(key, None)
        self._forget_work(key)
        version = int(job["metadata"]["resourceVersion"])
        self._ended[key] = Ended(_uid(job), version, intern(storage_of(job)), rest)
        children = self._children.pop(key, {})
        for (kind, _), child in children.items():
            self._put_child_of_ended(key, self._ended[key], kind, child)
        return True

    def _put_child_of_ended(self, key: Key, ended: Ended, kind: str, child: Object) -> Key | None:
        slot = (kind, child["metadata"]["name"])
        known = self._children.get(key, {}).get(slot)
        if kind == "Pod" or ended.uid not in owners_of(child) or (known is not None and not _newer(child, known)):
            return None
        self._children.setdefault(key, {})[slot] = kept_ended_child(kind, child)
        self._note_work(key, child, ended.storage)
        return key

    def _forget_work(self, key: Key) -> None:
        self._owners.pop(key, None)
        self._early.forget(key)
        self.distrust(key)

    def _version(self, key: Key) -> int | None:
        ended = self._ended.get(key)
        if ended is not None:
            return ended.version
        job = self._jobs.get(key)
        return None if job is None else version_of(job)

    def _is_ours(self, key: Key, kind: str, child: Object) -> bool:
        owners = owners_of(child)
        known = self._children.get(key, {}).get((kind, child["metadata"]["name"]))
        if known is not None and _uid(known) == _uid(child) and owners & owners_of(known):
            # A pod may outlive its Job; until it is gone it may write.
            return True
        job = self._jobs.get(key)
        if kind != "Pod" and job is not None and _uid(job) in owners:
            return True
        return not owners.isdisjoint(self._owners.get(key, ()))

    def _stages_of(self, key: Key) -> Iterator[str]:
        return (child["metadata"]["labels"][STAGE_LABEL] for child in self._children.get(key, {}).values())

    def _note_work(self, key: Key, child: Object, storage: str) -> None:
        directory = working_in(child)
        if directory is None:
            self._work.drop(key, child["metadata"]["name"])
        else:
            self._work.put(key, child["metadata"]["name"], storage, directory)

    def _own(self, key: Key, uid: str) -> None:
        self._owners.setdefault(key, set()).add(uid)
        if self._early.has_passed_over(key):
            # Something of what it owns may be among that.
            self.distrust(key)
        for kind, child in self._early.take(key, uid):
            self.put_child(kind, child)

    def _forget(self, key: Key, slot: tuple[str, str]) -> None:
        child = self._children[key].pop(slot)
        self._work.drop(key, slot[1])
        self._owners.get(key, set()).discard(_uid(child))


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


def _newer(this: Object, other: Object) -> bool:
    # Versions are only compared for order, as the API conventions allow since Kubernetes 1.35 and etcd always did.
    return version_of(this) >= version_of(other)


def _is_alike(known: Object, kept: Object) -> bool:
    """Whether two versions of an object differ in nothing that is kept, as when a controller has counted its pods."""
    version = {"resourceVersion": None}
    return {**known, "metadata": known["metadata"] | version} == {**kept, "metadata": kept["metadata"] | version}
