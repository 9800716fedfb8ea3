"""Where the children of all jobs write: of two jobs that need the same stage in one storage, one works."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from typing import Any

from distillation_operator.controller.queue import Key

Object = Mapping[str, Any]


class SharedWork:
    """By storage and output directory, the children that run."""

    def __init__(self) -> None:
        self._running: dict[str, dict[str, set[tuple[Key, str]]]] = defaultdict(dict)
        self._places: dict[tuple[Key, str], tuple[str, str]] = {}

    def put(self, key: Key, child: str, storage: str, directory: str) -> None:
        """A job's child runs and writes there."""
        self.drop(key, child)
        self._places[key, child] = (storage, directory)
        self._running[storage].setdefault(directory, set()).add((key, child))

    def drop(self, key: Key, child: str) -> None:
        """A child runs no more."""
        place = self._places.pop((key, child), None)
        if place is None:
            return
        storage, directory = place
        self._running[storage][directory].discard((key, child))
        if not self._running[storage][directory]:
            del self._running[storage][directory]
        if not self._running[storage]:
            del self._running[storage]

    def drop_job(self, key: Key) -> None:
        """All of a job's children run no more."""
        for place in [place for place in self._places if place[0] == key]:
            self.drop(*place)

    def of_others(self, key: Key, storage: str) -> "WorkOfOthers":
        """Directories of a storage in which other jobs' children work, and one of these jobs for each."""
        return WorkOfOthers(key, self._running.get(storage, {}))


class WorkOfOthers(Mapping[str, str]):
    """Directories in which other jobs' children work, and one of these jobs for each: each as it is when it is first
    asked for. Two of these are equal if what was asked of one has the same answer in the other; hundreds of jobs may
    work in one storage, and nearly all of that is nobody else's business.
    """

    def __init__(self, key: Key, running: Mapping[str, Set[tuple[Key, str]]]) -> None:
        self._key = key
        self._running = running
        self._answers: dict[str, str | None] = {}

    def __getitem__(self, directory: str) -> str:
        if directory not in self._answers:
            others = [job for job, _ in self._running.get(directory, ()) if job != self._key]
            self._answers[directory] = "/".join(min(others)) if others else None
        found = self._answers[directory]
        if found is None:
            raise KeyError(directory)
        return found

    def __iter__(self) -> Iterator[str]:
        return (directory for directory in self._running if directory in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WorkOfOthers):
            return isinstance(other, Mapping) and {**self} == {**other}
        return self._agrees(other) and other._agrees(self)

    def _agrees(self, other: "WorkOfOthers") -> bool:
        return all(other.get(directory) == job for directory, job in self._answers.items())


def storage_of(job: Object) -> str:
    """What tells the storages of a cluster's jobs apart.

    Namespaces share none here, though two may name one bucket: whoever may write a job anywhere could hold up all
    others by naming theirs. Who really writes into one bucket is told by the claim in it.
    """
    storage = (job.get("spec") or {}).get("storage") or {}
    bucket = (storage.get("gcs") or {}).get("bucket")
    claim = (storage.get("persistentVolumeClaim") or {}).get("claimName")
    return json.dumps([job["metadata"]["namespace"], bucket, claim])
