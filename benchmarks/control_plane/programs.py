"""The pods' programs: no kubelet runs, so the benchmark lets each pod run, and end well after a random time."""

import asyncio
import random
from typing import Any

import aiohttp

from benchmarks.control_plane.api import Api, Object, Refused
from distillation_operator.manifests.labels import CHILD_LABEL, SELECTOR, STAGE_LABEL
from support.operating import ended_status, running_status, succeeded_status

INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
WRITERS = 8
"""Statuses that are written at the same time."""
AGAIN_SECONDS = 0.5
"""A watch that has ended is begun again after this."""


class Programs:
    """Runs and ends all pods of stages in the cluster; an asynchronous context manager.

    Between ``hold`` and ``release`` pods run, and none ends.
    """

    def __init__(self, api: Api, seed: int) -> None:
        self._api = api
        self._chance = random.Random(seed)
        self._writers = asyncio.Semaphore(WRITERS)
        self._seconds = 0.0
        self._released = asyncio.Event()
        self._seen: set[str] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._failed: list[BaseException] = []
        self.child_of: dict[tuple[str, str], str] = {}
        """The child that each pod belongs to, by namespace and name of the pod."""

    async def __aenter__(self) -> "Programs":
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [self._watching, *self._running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hold(self) -> None:
        """Let no pod end that comes from now on."""
        self._released.clear()

    def release(self, seconds: float) -> None:
        """Let each pod end after a random time of at most so long, those that are there from now."""
        self._seconds = seconds
        self._released.set()

    def check(self) -> None:
        """Raise what has ended the watch, or kept a pod from being ended."""
        if self._watching.done():
            self._watching.result()
        for error in self._failed:
            raise error

    async def _watch(self) -> None:
        while True:
            try:
                pods = self._api.watch("/api/v1/pods", labelSelector=SELECTOR, fieldSelector="status.phase=Pending")
                async for event in pods:
                    self._note(event)
            except (aiohttp.ClientError, TimeoutError, Refused):
                # Every pod that still waits comes again with the next watch.
                pass
            await asyncio.sleep(AGAIN_SECONDS)

    def _note(self, event: Object) -> None:
        pod = event["object"]
        if event["type"] not in ("ADDED", "MODIFIED") or "deletionTimestamp" in pod["metadata"]:
            return
        uid = pod["metadata"]["uid"]
        if uid in self._seen:
            return
        self._seen.add(uid)
        task = asyncio.create_task(self._play(pod))
        self._running.add(task)
        task.add_done_callback(self._played)

    def _played(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed.append(error)

    async def _play(self, pod: Object) -> None:
        """One pod, from its start to its end."""
        metadata = pod["metadata"]
        await self._write(pod, running_status())
        await self._released.wait()
        await asyncio.sleep(self._chance.uniform(0, self._seconds))
        self.child_of[metadata["namespace"], metadata["name"]] = metadata["labels"][CHILD_LABEL]
        await self._write(pod, end_of(pod))

    async def _write(self, pod: Object, status: Object) -> None:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        async with self._writers:
            try:
                await self._api.patch(path, {"metadata": {"uid": metadata["uid"]}, "status": status})
            except Refused as refused:
                # A pod that has gone, or was replaced under its name, has no end to be written.
                if refused.status not in (404, 409):
                    raise


def end_of(pod: Object) -> Object:
    """The status of a pod that has ended well. Of a training's hosts the first alone has a result to give."""
    labels = pod["metadata"]["labels"]
    stage = labels[STAGE_LABEL]
    if stage.startswith("train-") and labels.get(INDEX_LABEL, "0") != "0":
        return ended_status(0, "")
    return succeeded_status(pod, **result_of(stage))


def result_of(stage: str) -> dict[str, Any]:
    """Counts and metrics in the number and size that a stage's program has."""
    kind = stage.split("-")[0]
    return {"counts": dict(_COUNTS.get(kind, {})), "metrics": dict(_METRICS.get(kind, {}))}


_ROWS = {"rowsRead": 52_002, "rowsKept": 51_214, "rejectedTooLong": 622, "rejectedEmptyAnswer": 97, "rejectedRole": 69}
_COUNTS: dict[str, dict[str, int]] = {
    "fetch": {"files": 14, "bytes": 16_060_556_376},
    "prepare": {**_ROWS, "holdoutRows": 10},
    "generate": {**_ROWS, "promptTokens": 14_204_118, "completionTokens": 9_731_226, "truncated": 812},
    "pack": {"sequences": 12_114, "tokens": 24_801_233, "padding": 8_112, "comparedWithSampled": 64},
    "train": {"steps": 10, "tokens": 24_801_233, "checkpoints": 3},
    "evaluate": {"rows": 10, "tokens": 4_411},
}
_METRICS: dict[str, dict[str, float]] = {
    "convert": {"maxKl": 0.000214, "meanKl": 0.0000318},
    "generate": {"tokensPerSecond": 2114.72, "acceptedShare": 0.9848, "memoryGiB": 13.217},
    "train": {"firstLoss": 2.41877, "lastLoss": 1.20331, "tokensPerSecond": 11820.4, "stepSeconds": 1.734},
    "export": {"maxKl": 0.000187, "meanKl": 0.0000295},
    "evaluate": {"crossEntropyBefore": 2.41877, "crossEntropyAfter": 1.20331, "teacherCrossEntropy": 1.0124},
}
