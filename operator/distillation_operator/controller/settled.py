"""Jobs for which nothing is to be done: as long as nothing changes and no time comes, nothing is decided either."""

import asyncio
import math
from dataclasses import dataclass, replace
from datetime import timedelta

from distillation_api.resource import DistillationJob
from distillation_operator.controller.queue import SOON, Key
from distillation_operator.pipeline.decision.job import Decision
from distillation_operator.pipeline.observed import Observed


@dataclass(frozen=True)
class _Settled:
    job: DistillationJob
    observed: Observed
    decision: Decision
    due: float


class Settled:
    """By job the last decision, if it left nothing to do, and what it was made on."""

    def __init__(self) -> None:
        self._settled: dict[Key, _Settled] = {}

    def decision(self, key: Key, job: DistillationJob, observed: Observed) -> Decision | None:
        """The last decision, if another one would be the same."""
        last = self._settled.get(key)
        now = asyncio.get_running_loop().time()
        if last is None or last.due - now < SOON or job.spec is not last.job.spec or job.metadata != last.job.metadata:
            return None
        if job.status != last.decision.status or observed != last.observed:
            return None
        left = None if last.due == math.inf else timedelta(seconds=last.due - now)
        looks = [wait for wait in (left, last.decision.requeue_after) if wait is not None]
        return replace(last.decision, requeue_after=min(looks, default=None), due_after=left)

    def note(self, key: Key, job: DistillationJob, observed: Observed, decision: Decision) -> None:
        """Keep a decision, if it leaves nothing to do."""
        due = decision.due_after
        if decision.has_acts or decision.is_end or (due is not None and due <= timedelta(0)):
            self.forget(key)
            return
        now = asyncio.get_running_loop().time()
        at = math.inf if due is None else now + due.total_seconds()
        self._settled[key] = _Settled(job, observed, decision, at)

    def forget(self, key: Key) -> None:
        """Drop the last decision."""
        self._settled.pop(key, None)
