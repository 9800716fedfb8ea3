"""Where the children of all jobs write: of two jobs that need the same stage in one storage, one works."""

import json
from collections import defaultdict
from collections.abc import Mapping
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

    def of_others(self, key: Key, storage: str) -> dict[str, str]:
        """Directories of a storage in which other jobs' children work, and one of these jobs for each."""
        found = {}
        for directory, children in self._running.get(storage, {}).items():
            others = sorted(job for job, _ in children if job != key)
            if others:
                found[directory] = "/".join(others[0])
        return found


def storage_of(job: Object) -> str:
    """What tells the storages of a cluster's jobs apart.

    Namespaces share none here, though two may name one bucket: whoever may write a job anywhere could hold up all
    others by naming theirs. Who really writes into one bucket is told by the claim in it.
    """
    storage = (job.get("spec") or {}).get("storage") or {}
    bucket = (storage.get("gcs") or {}).get("bucket")
    claim = (storage.get("persistentVolumeClaim") or {}).get("claimName")
    return json.dumps([job["metadata"]["namespace"], bucket, claim])
