"""Progress of running pods, read from the tails of their logs: no port, no credential, no service in the pod."""

import asyncio
import time

from distillation_api.contract import Progress
from distillation_operator.controller.kube import ApiError, Kube
from distillation_operator.manifests.reading import parse_progress

SECONDS_BETWEEN_READS = 4.0
LINES = 40
AT_ONCE = 8


class ProgressReader:
    """The last progress line of each pod; a log is read again only after ``SECONDS_BETWEEN_READS``."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._lines: dict[tuple[str, str], Progress] = {}
        self._read_at: dict[tuple[str, str], float] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def read(self, namespace: str, pods: list[str]) -> dict[str, Progress]:
        """Progress by pod; pods that have reported nothing yet are absent."""
        await asyncio.gather(*(self._read_one((namespace, pod)) for pod in pods))
        return {pod: self._lines[namespace, pod] for pod in pods if (namespace, pod) in self._lines}

    def forget(self, namespace: str, pod: str) -> None:
        """Drop what is known of a pod that is gone."""
        self._lines.pop((namespace, pod), None)
        self._read_at.pop((namespace, pod), None)

    async def _read_one(self, pod: tuple[str, str]) -> None:
        now = time.monotonic()
        if now - self._read_at.get(pod, -SECONDS_BETWEEN_READS) < SECONDS_BETWEEN_READS:
            return
        self._read_at[pod] = now
        async with self._slots:
            try:
                log = await self._kube.read_log_tail(*pod, LINES)
            except ApiError:
                # Gone, or its node can't be reached: what was known stands.
                return
        line = parse_progress(log)
        if line is not None:
            self._lines[pod] = line
