"""Why a child has no pods, where neither it nor a pod tells: Kueue's words, or the API server's to the Job controller.

A queue holds it: that stands in Kueue's Workload. Or its pods are refused (no such ServiceAccount or PriorityClass, a
quota, a policy): that stands in an Event of the Job alone.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distillation_operator.controller.kube import Kube
from distillation_operator.controller.queue import Key
from distillation_operator.controller.side_calls import SideCall, SideCalls
from distillation_operator.controller.turns import Turns
from distillation_operator.manifests.pod_security import with_advice
from distillation_operator.manifests.reading import (
    child_of,
    is_held,
    jobset_of,
    no_workload_message,
    queue_message,
    refusal_message,
    wants_pods,
)

SECONDS_BETWEEN_READS = 10.0
SECONDS_FOR_PODS = 3.0
"""A new child's pods are given so long to appear before anybody is asked."""
SECONDS_FOR_WORKLOAD = 5.0
"""Kueue is given so long to make a Workload of what it holds."""

Object = Mapping[str, Any]


@dataclass
class _Said:
    since: float
    asked_at: float = -math.inf
    message: str | None = None


class PendingReasons:
    """The last that was said of each child without pods; asked for again only after ``SECONDS_BETWEEN_READS``,
    or later where there are many.

    ``changed``: told of the job when something else is said.
    """

    def __init__(self, kube: Kube, calls: SideCalls, changed: Callable[[Key], None]) -> None:
        self._kube = kube
        self._calls = calls
        self._changed = changed
        self._said: dict[Key, dict[tuple[str, bool], _Said]] = {}
        """By job, and by the child's UID and whether its queue holds it."""
        self._turns = Turns()

    def known(
        self, key: Key, children: Iterable[Object], jobs_of_jobsets: Sequence[Object], pods: Sequence[Object]
    ) -> dict[str, str]:
        """Messages by name of the child, as far as they were read; where there is nothing to say it is absent. What is
        old is asked for.
        """
        now = asyncio.get_running_loop().time()
        before = self._said.get(key, {})
        said: dict[tuple[str, bool], _Said] = {}
        told: dict[str, str] = {}
        with_pods = {child_of(pod) for pod in pods}
        made = defaultdict[str | None, list[str]](list)
        for job in jobs_of_jobsets:
            made[jobset_of(job)].append(job["metadata"]["uid"])
        turn = self._turns.seconds
        for child in children:
            name, uid = child["metadata"]["name"], child["metadata"]["uid"]
            held = is_held(child)
            if not held and (name in with_pods or not wants_pods(child)):
                continue
            entry = said[uid, held] = before.get((uid, held)) or _Said(now)
            patience = 0 if held else max(SECONDS_FOR_PODS, turn)
            if now - entry.since >= patience and now - entry.asked_at >= max(SECONDS_BETWEEN_READS, turn):
                entry.asked_at = now
                self._calls.ask(self._call(key, child, held, made.get(name, []), entry))
            if entry.message is not None:
                told[name] = entry.message
        self._turns.note(key, len(said))
        self._said[key] = said
        if not said:
            del self._said[key]
        return told

    def forget(self, key: Key) -> None:
        """Drop what is known of a job that is gone."""
        self._said.pop(key, None)
        self._turns.note(key, 0)

    def _call(self, key: Key, child: Object, held: bool, made: Sequence[str], entry: _Said) -> SideCall:
        uid: str = child["metadata"]["uid"]

        async def read() -> None:
            # A message that can't be read is no news: what was known stands.
            if held:
                message = await self._of_queue(key[0], child, entry.since)
            else:
                message = await self._of_server(key[0], (uid, *made))
            if message != entry.message:
                entry.message = message
                self._changed(key)

        return SideCall(("pending", key, uid, held), key, read)

    async def _of_queue(self, namespace: str, child: Object, since: float) -> str | None:
        workloads = await self._kube.list_workloads(namespace, child["metadata"]["uid"])
        if not workloads and asyncio.get_running_loop().time() - since >= SECONDS_FOR_WORKLOAD:
            return no_workload_message(child)
        return queue_message(workloads)

    async def _of_server(self, namespace: str, jobs: Sequence[str]) -> str | None:
        events = [await self._kube.list_failed_creations(namespace, job) for job in jobs]
        message = refusal_message(event for of_one in events for event in of_one)
        return None if message is None else with_advice(message, namespace)
