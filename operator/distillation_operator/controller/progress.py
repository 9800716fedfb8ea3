"""Progress of running pods, read from the tails of their logs: no port, no credential, no service in the pod."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from distillation_api.contract import Progress
from distillation_operator.controller.kube import Kube
from distillation_operator.controller.queue import Key
from distillation_operator.controller.side_calls import SideCall, SideCalls
from distillation_operator.manifests.reading import parse_progress
from distillation_operator.pipeline.observed import Pod

SECONDS_BETWEEN_READS = 4.0
LINES = 40


@dataclass
class _Tail:
    asked_at: float
    line: Progress | None = None


class ProgressReader:
    """The last progress line of each pod; a log is read again only after ``SECONDS_BETWEEN_READS``."""

    def __init__(self, kube: Kube, calls: SideCalls) -> None:
        self._kube = kube
        self._calls = calls
        self._tails: dict[Key, dict[str, _Tail]] = {}
        self._last: dict[Key, dict[tuple[str, int], Progress]] = {}

    def known(self, key: Key, pods: Iterable[Pod]) -> dict[str, Progress]:
        """Progress by pod, of those of a job's pods that report, as far as it was read; what is old is asked for."""
        now = asyncio.get_running_loop().time()
        before = self._tails.get(key, {})
        tails: dict[str, _Tail] = {}
        for pod in pods:
            tail = tails[pod.name] = before.get(pod.name) or _Tail(now - SECONDS_BETWEEN_READS)
            if now - tail.asked_at >= SECONDS_BETWEEN_READS:
                tail.asked_at = now
                self._calls.ask(self._call(key, pod, tail))
        self._tails[key] = tails
        if not tails:
            del self._tails[key]
        return {name: tail.line for name, tail in tails.items() if tail.line is not None}

    def last(self, key: Key, owners: Iterable[str]) -> dict[tuple[str, int], Progress]:
        """The last line that was read of each index of the Jobs with these UIDs, also of pods that are gone. What is
        known of other Jobs, such as older ones of the same name, is dropped.
        """
        wanted = set(owners)
        last = {place: line for place, line in self._last.get(key, {}).items() if place[0] in wanted}
        self._last[key] = last
        if not last:
            del self._last[key]
        return dict(last)

    def forget(self, key: Key) -> None:
        """Drop what is known of a job that is gone."""
        self._tails.pop(key, None)
        self._last.pop(key, None)

    def _call(self, key: Key, pod: Pod, tail: _Tail) -> SideCall:
        async def read() -> None:
            line = parse_progress(await self._kube.read_log_tail(key[0], pod.name, LINES))
            # The job may have been forgotten, or its pod be gone, while the log was on its way.
            if line is not None and self._tails.get(key, {}).get(pod.name) is tail:
                tail.line = line
                self._last.setdefault(key, {})[pod.owner, pod.index] = line

        return SideCall(("log", key, pod.name), key, read, pod.node)
