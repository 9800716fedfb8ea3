"""Why pods don't start, where their own status doesn't tell: a volume, a sandbox, an autoscaler without stock.

That stands in Events alone, which are too many to be watched. Those of a pod that has stood still for a while are read
beside the decisions, of a few pods of a job at a time: pods that stand still mostly do so for one reason.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from distillation_operator.controller.kube import Kube
from distillation_operator.controller.queue import Key
from distillation_operator.controller.side_calls import SideCall, SideCalls
from distillation_operator.controller.turns import Turns
from distillation_operator.manifests.pending_cause import cause_of_events, waits_to_start
from distillation_operator.pipeline.cause import Cause

SECONDS_TO_START = 4.0
"""A pod is given so long to start before anybody is asked: until the second look at its job."""
SHORTEST_SECONDS_BETWEEN_READS = 3.5
"""Of one pod; the longer it stands still, the longer."""
LONGEST_SECONDS_BETWEEN_READS = 60.0
SHARE_OF_ITS_TIME = 0.1
PODS_AT_A_TIME = 4
"""Of a job, in its turn."""

Object = Mapping[str, Any]


@dataclass
class _Wait:
    since: float
    asked_at: float = -math.inf
    cause: Cause | None = None

    def is_due(self, now: float, turn: float) -> bool:
        """``turn``: the seconds in which each job has its turn."""
        stands = now - self.since
        pause = max(turn, min(SHARE_OF_ITS_TIME * stands, LONGEST_SECONDS_BETWEEN_READS))
        return stands >= max(SECONDS_TO_START, turn) and now - self.asked_at >= pause


class PodEvents:
    """The last that Events have told of each pod that doesn't start.

    ``changed``: told of the job when something else is said.
    """

    def __init__(self, kube: Kube, calls: SideCalls, changed: Callable[[Key], None]) -> None:
        self._kube = kube
        self._calls = calls
        self._changed = changed
        self._waits: dict[Key, dict[str, _Wait]] = {}
        """By job and the pod's UID."""
        self._turns = Turns()
        """Of the pods that are asked about at a time."""

    def known(self, key: Key, pods: Iterable[Object]) -> dict[str, Cause]:
        """What keeps pods from starting, by name, as far as it was read. What is old is asked for."""
        now = asyncio.get_running_loop().time()
        before = self._waits.get(key, {})
        waiting = {pod["metadata"]["uid"]: pod for pod in pods if waits_to_start(pod)}
        waits = {uid: before.get(uid) or _Wait(now) for uid in waiting}
        self._turns.note(key, min(len(waits), PODS_AT_A_TIME))
        turn = max(SHORTEST_SECONDS_BETWEEN_READS, self._turns.seconds)
        # The one that was asked about longest ago comes first: all have their turn.
        due = sorted((uid for uid, one in waits.items() if one.is_due(now, turn)), key=lambda uid: waits[uid].asked_at)
        lately = sum(now - one.asked_at < turn for one in waits.values())
        for uid in due[: max(PODS_AT_A_TIME - lately, 0)]:
            waits[uid].asked_at = now
            self._calls.ask(self._call(key, waiting[uid], waits[uid]))
        self._waits[key] = waits
        if not waits:
            del self._waits[key]
        return {waiting[uid]["metadata"]["name"]: one.cause for uid, one in waits.items() if one.cause is not None}

    def forget(self, key: Key) -> None:
        """Drop what is known of a job that is gone."""
        self._waits.pop(key, None)
        self._turns.note(key, 0)

    def _call(self, key: Key, pod: Object, entry: _Wait) -> SideCall:
        uid = pod["metadata"]["uid"]

        async def read() -> None:
            cause = cause_of_events(pod, await self._kube.list_pod_events(key[0], uid))
            if cause != entry.cause:
                entry.cause = cause
                self._changed(key)

        return SideCall(("events", key, uid), key, read)
