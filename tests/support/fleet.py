"""All of the controller before a stand-in for the API server, with several jobs, on virtual time."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from distillation_operator.controller import process
from distillation_operator.controller.queue import Key
from distillation_operator.controller.settings import ControllerSettings
from distillation_operator.pipeline.status.times import format_time
from support.api_server import Server
from support.scenario import small_spec
from support.virtual_time import now, run

CREATING: dict[str, Any] = {"phase": "Pending", "containerStatuses": [{"name": "stage", "state": {"waiting": {}}}]}
"""The status of a pod on a node whose container doesn't start."""


class Fleet:
    """The operator with its queue and workers before a stand-in for the API server."""

    def __init__(self) -> None:
        self.server = Server(seconds=0.01)
        self.restart()
        self.made: dict[tuple[Key, str], float] = {}
        """When each child was made, by job and stage."""
        self._told: set[asyncio.Task[None]] = set()
        self.server.tell = self._tell

    def restart(self) -> None:
        """Another process of the operator takes over, which knows nothing yet."""
        self.operator = process._Operator(ControllerSettings())
        self.operator._assemble(self.server)

    async def hear_of_all(self) -> None:
        """What watches tell at their start."""
        for job in self.server.jobs.values():
            await self.operator._job_changed({"type": "ADDED", "object": job})
        for (kind, _, _), thing in self.server.objects.items():
            await self.operator._child_changed(kind, {"type": "ADDED", "object": thing})

    def _tell(self, kind: str, thing: Any) -> None:
        metadata = thing["metadata"]
        if kind != "Pod":
            key = metadata["namespace"], metadata["labels"]["distillation.dev/job"]
            self.made.setdefault((key, metadata["labels"]["distillation.dev/stage"]), now())
        task = asyncio.create_task(self.operator._child_changed(kind, {"type": "MODIFIED", "object": thing}))
        self._told.add(task)
        task.add_done_callback(self._told.discard)

    async def add_job(self, name: str, **spec: Any) -> Key:
        """A user's job, which shares no folder with others."""
        made = small_spec(**spec)
        made["storage"] = {**made["storage"], "prefix": name}
        key = self.server.add_job(made, name)
        await self.operator._job_changed({"type": "ADDED", "object": self.server.jobs[key]})
        return key

    def stage(self, key: Key, name: str) -> dict[str, Any]:
        """What a job's status says of a stage."""
        return next(dict(stage) for stage in self.server.jobs[key]["status"]["stages"] if stage["name"] == name)

    def run_pods(self, key: Key, stage: str, count: int, node: str = "node", chips: int = 0) -> None:
        """The stage's pods run, each with so many chips."""
        child = self.child(key, stage)
        for number in range(count):
            self.server.add_pod(child, number, f"{node}-{number}", chips)

    def end(self, key: Key, stage: str) -> None:
        """The stage's pods have done their work, and its child says so."""
        self.end_pods(key, stage)
        self.end_child(key, stage)

    def end_pods(self, key: Key, stage: str) -> None:
        """The stage's pods have done their work."""
        child = self.child(key, stage)
        annotations, when = child["metadata"]["annotations"], format_time(datetime.now(UTC))
        fingerprint = annotations["distillation.dev/fingerprint"]
        result = {"type": "result", "stage": stage, "fingerprint": fingerprint}
        ended = {"exitCode": 0, "message": json.dumps(result), "finishedAt": when}
        state: dict[str, Any] = {
            "phase": "Succeeded",
            "containerStatuses": [{"name": "stage", "state": {"terminated": ended}}],
        }
        self.server.add_pod(child, **state)

    def end_child(self, key: Key, stage: str) -> None:
        """The stage's Job or JobSet says that it is complete."""
        child, when = self.child(key, stage), format_time(datetime.now(UTC))
        condition = {"type": "Complete", "status": "True", "lastTransitionTime": when}
        self.server.add(child["kind"], {**child, "status": {"conditions": [condition]}})

    def lose_children_at_once(self) -> None:
        """From now on a child that is deleted is gone with its pods before the call is answered, and so are they heard
        of."""
        delete = self.server.delete_child

        async def delete_with_pods(kind: str, namespace: str, name: str, uid: str) -> None:
            child = self.server.objects.get((kind, namespace, name))
            await delete(kind, namespace, name, uid)
            if child is not None:
                await self._lose_pods(child)
                await self.operator._child_changed(kind, {"type": "DELETED", "object": child})

        self.server.delete_child = delete_with_pods  # type: ignore[method-assign]

    def lose_pods_at(self, call: tuple[str, str], child: dict[str, Any]) -> None:
        """A child's pods are gone as soon as that call was made, and so are they heard of."""
        create = self.server.create_child

        async def create_and_lose(manifest: Any) -> Any:
            made = await create(manifest)
            if self.server.asked[-1] == call:
                await self._lose_pods(child)
            return made

        self.server.create_child = create_and_lose  # type: ignore[method-assign]

    async def _lose_pods(self, child: dict[str, Any]) -> None:
        uid = child["metadata"]["uid"]
        for slot, thing in list(self.server.objects.items()):
            if slot[0] == "Pod" and any(owner["uid"] == uid for owner in thing["metadata"]["ownerReferences"]):
                del self.server.objects[slot]
                await self.operator._child_changed("Pod", {"type": "DELETED", "object": thing})

    def child(self, key: Key, stage: str) -> dict[str, Any]:
        """The first attempt's Job or JobSet."""
        return next(
            child
            for child in self.server.children(key)
            if child["metadata"]["labels"]["distillation.dev/stage"] == stage
        )


async def stop(task: asyncio.Task[None]) -> None:
    """End what acts until it is cancelled."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def acting[T](scenario: Callable[[Fleet, Key], Awaitable[T]], **spec: Any) -> T:
    """What the scenario returns, of a job whose first children are made."""

    async def whole() -> T:
        fleet = Fleet()
        workers = asyncio.create_task(fleet.operator._act())
        key = await fleet.add_job("job", **spec)
        await asyncio.sleep(1)
        try:
            return await scenario(fleet, key)
        finally:
            await stop(workers)
            await fleet.operator._side_calls.close()

    return run(whole())
