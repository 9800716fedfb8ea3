"""Why a child has no pods, where neither it nor a pod tells: Kueue's words, or the API server's to the Job controller.

A queue holds it: that stands in Kueue's Workload. Or its pods are refused (no such ServiceAccount or PriorityClass, a
quota, a policy): that stands in an Event of the Job alone.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from distillation_operator.controller.kube import ApiError, Kube
from distillation_operator.manifests.reading import is_held, jobset_of, lacks_pods, queue_message, refusal_message

SECONDS_BETWEEN_READS = 10.0
SECONDS_FOR_PODS = 3.0
"""A new child's pods are given so long to appear before anybody is asked."""

Object = Mapping[str, Any]


class PendingReasons:
    """The last that was said of each child without pods; asked for again only after ``SECONDS_BETWEEN_READS``."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._messages: dict[str, str] = {}
        self._read_at: dict[str, float] = {}

    async def read(
        self, namespace: str, children: Iterable[Object], jobs_of_jobsets: Iterable[Object], pods: Iterable[Object]
    ) -> dict[str, str]:
        """Messages by name of the child; where there is nothing to say it is absent."""
        told: dict[str, str] = {}
        jobs, pods = list(jobs_of_jobsets), list(pods)
        for child in children:
            name, uid = child["metadata"]["name"], child["metadata"]["uid"]
            held = is_held(child)
            if not held and not lacks_pods(child, pods):
                self._messages.pop(uid, None)
                self._read_at.pop(uid, None)
                continue
            now = time.monotonic()
            first = now - SECONDS_BETWEEN_READS + (0 if held else SECONDS_FOR_PODS)
            if now - self._read_at.setdefault(uid, first) >= SECONDS_BETWEEN_READS:
                self._read_at[uid] = now
                made = [job["metadata"]["uid"] for job in jobs if jobset_of(job) == name]
                await self._read_one(namespace, uid, held, made)
            if uid in self._messages:
                told[name] = self._messages[uid]
        return told

    async def _read_one(self, namespace: str, uid: str, held: bool, made: list[str]) -> None:
        try:
            if held:
                message = queue_message(await self._kube.list_workloads(namespace, uid))
            else:
                events = [await self._kube.list_failed_creations(namespace, job) for job in (uid, *made)]
                message = refusal_message(event for of_one in events for event in of_one)
        except ApiError:
            # A message is worth no failed reconcile: what was known stands.
            return
        if message is not None:
            self._messages[uid] = message
        else:
            self._messages.pop(uid, None)
