"""Statuses that are decided and not yet written: what follows within a moment is written with them.

A child's pods appear, run and may end within a second, and three stages may end in one: each of these would be a write
of the whole status. Nothing is lost with what waits here: it follows from the children once more, and what doesn't is
written at once.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distillation_api.resource import DistillationJob
from distillation_api.status import DistillationJobStatus
from distillation_operator.controller.queue import SOON, Key
from distillation_operator.pipeline.status.irreplaceable import cannot_wait

WRITES_PER_SECOND = 25.0
"""Of all that wait; where there are more, each waits longer, and more is written with it."""
LONGEST_SECONDS = 5.0
Object = Mapping[str, Any]


@dataclass(frozen=True)
class _Unwritten:
    status: DistillationJobStatus
    instead_of: tuple[str, Object | None]
    """The object's UID, and the status that the API server has of it."""
    due: float


class Unwritten:
    """By job the status that waits. ``seconds``: for how long one may where few do, by the loop's clock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[Key, _Unwritten] = {}

    def applied(self, key: Key, raw: Object, job: DistillationJob) -> DistillationJob:
        """The job with the status that waits, unless the API server has another one by now. ``raw``: as that has it."""
        waiting = self._waiting.get(key)
        if waiting is None:
            return job
        if waiting.instead_of != _written(raw):
            del self._waiting[key]
            return job
        return job.model_copy(update={"status": waiting.status})

    def put_off(
        self, key: Key, raw: Object, before: DistillationJobStatus | None, after: DistillationJobStatus
    ) -> float | None:
        """Let a status wait; returns the seconds that it still may, None when it is to be written now. ``before``: the
        one that is written.
        """
        waiting = self._waiting.get(key)
        if before == after:
            self.forget(key)
            return None
        now = asyncio.get_running_loop().time()
        due = now + self._longest() if waiting is None else waiting.due
        if due - now < SOON or cannot_wait(before, after):
            return None
        self._waiting[key] = _Unwritten(after, _written(raw), due)
        return due - now

    def forget(self, key: Key) -> None:
        """Drop the status that waits."""
        self._waiting.pop(key, None)

    def _longest(self) -> float:
        if not self._seconds:
            return 0.0
        return max(self._seconds, min(len(self._waiting) / WRITES_PER_SECOND, LONGEST_SECONDS))


def _written(raw: Object) -> tuple[str, Object | None]:
    return raw["metadata"]["uid"], raw.get("status")
