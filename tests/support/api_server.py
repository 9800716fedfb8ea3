"""A stand-in for the API server that keeps objects in memory: what the controller does when one answers slowly, oddly
or not at all. What a real one does is tested in tests/cluster.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from distillation_operator.controller.kube import ApiError, Kube, Listed
from distillation_operator.controller.queue import Key
from distillation_operator.manifests.kept_fields import kept_child
from distillation_operator.manifests.labels import CHILD_LABEL, JOB_LABEL, SELECTOR

Object = Mapping[str, Any]
UNREACHABLE = "unreachable"
"""A node whose kubelet never answers."""


class Server(Kube):
    """Objects by kind, and what was asked. ``seconds``: what each call takes, by the loop's clock."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.jobs: dict[Key, dict[str, Any]] = {}
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        """By kind, namespace and name."""
        self.logs: dict[str, str] = {}
        self.workloads: list[Object] = []
        self.events: list[Object] = []
        self.pod_events: list[Object] = []
        """What others have told of pods."""
        self.silent_about_events = False
        self.nodes: dict[str, Object] = {}
        """What there is to read of a node, by name."""
        self.may_read_nodes = True
        self.deleted: list[str] = []
        self.asked: list[tuple[str, str]] = []
        """Verb and name of each call."""
        self.unreadable_status: Callable[[Object], bool] = lambda status: False
        self.tell: Callable[[str, Object], None] = lambda kind, thing: None
        """Told of each object that was made or changed, as a watch is."""
        self._versions = itertools.count(1)
        self.hanging = 0
        """Calls that wait for an answer that doesn't come."""

    def add_job(self, spec: dict[str, Any], name: str = "job", namespace: str = "ml") -> Key:
        """A user's DistillationJob."""
        metadata = {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}", "generation": 1}
        job = {"apiVersion": "distillation.dev/v1alpha1", "kind": "DistillationJob", "metadata": metadata, "spec": spec}
        self.jobs[namespace, name] = self._stamped(job)
        return namespace, name

    def add(self, kind: str, thing: dict[str, Any]) -> dict[str, Any]:
        """An object that a controller of Kubernetes, or anybody else, has made."""
        made = self._stamped({"kind": kind, **thing})
        made["metadata"].setdefault("uid", f"uid-{kind}-{made['metadata']['name']}")
        self.objects[kind, made["metadata"]["namespace"], made["metadata"]["name"]] = made
        self.tell(kind, made)
        return made

    def add_pod(
        self, child: Object, number: int = 0, node: str = "node", chips: int = 0, **status: Any
    ) -> dict[str, Any]:
        """A pod of a child, which runs."""
        metadata, labels = child["metadata"], child["metadata"]["labels"]
        running = {"phase": "Running", "containerStatuses": [{"name": "stage", "state": {"running": {}}}]}
        resources = {"resources": {"limits": {"google.com/tpu": str(chips)}}} if chips else {}
        return self.add(
            "Pod",
            {
                "metadata": {
                    "name": f"{metadata['name']}-{number}-abcde",
                    "namespace": metadata["namespace"],
                    "labels": {**labels, "batch.kubernetes.io/job-completion-index": str(number)},
                    "ownerReferences": [{"uid": metadata["uid"], "controller": True}],
                },
                "spec": {"nodeName": node, "containers": [{"name": "stage", **resources}]},
                "status": {**running, **status},
            },
        )

    def children(self, key: Key) -> list[dict[str, Any]]:
        """A job's Jobs and JobSets, in the order in which they were made."""
        return [thing for (kind, _, _), thing in self.objects.items() if kind != "Pod" and _is_of(thing, key)]

    async def create_child(self, manifest: Object) -> Object:
        await self._answered("create", manifest["metadata"]["name"])
        if (manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]) in self.objects:
            raise ApiError(409, "AlreadyExists", "exists")
        return self.add(manifest["kind"], dict(manifest))

    async def read_child(self, kind: str, namespace: str, name: str) -> Object:
        await self._answered("get", name)
        return self.objects[kind, namespace, name]

    async def read_job(self, key: Key) -> Object:
        await self._answered("get", key[1])
        return self.jobs[key]

    async def delete_child(self, kind: str, namespace: str, name: str, uid: str) -> None:
        await self._answered("delete", name)
        known = self.objects.get((kind, namespace, name))
        if known is not None and known["metadata"]["uid"] != uid:
            return
        self.deleted.append(name)
        self.objects.pop((kind, namespace, name), None)

    async def list_children(self, kind: str, key: Key) -> Listed:
        await self._answered("list", kind)
        of_job = [thing for (of_kind, _, _), thing in self.objects.items() if of_kind == kind and _is_of(thing, key)]
        return Listed([kept_child(kind, thing) for thing in of_job], next(self._versions))

    async def list_pages(self, kind: str, namespace: str | None, selector: str = SELECTOR) -> AsyncIterator[Listed]:
        await self._answered("list", f"all {kind}")
        children = [
            kept_child(kind, thing)
            for (of_kind, place, _), thing in self.objects.items()
            if of_kind == kind and namespace in (None, place)
        ]
        yield Listed(children, next(self._versions))

    async def count_jobs(self, namespace: str | None) -> int:
        await self._answered("list", "jobs")
        return len(self.jobs)

    async def list_uids(self, namespace: str | None) -> dict[Key, str]:
        await self._answered("list", "uids of jobs")
        return {key: job["metadata"]["uid"] for key, job in self.jobs.items()}

    async def write_status(self, job: Object, status: Object) -> Object:
        await self._answered("update", job["metadata"]["name"])
        if self.unreadable_status(status):
            raise ApiError(422, "Invalid", "status.stages[0].counts: a value of somebody's")
        key = job["metadata"]["namespace"], job["metadata"]["name"]
        self.jobs[key] = self._stamped({**self.jobs[key], "status": status})
        return self.jobs[key]

    async def list_workloads(self, namespace: str, uid: str) -> list[Object]:
        await self._answered("list", "workloads")
        return self.workloads

    async def list_failed_creations(self, namespace: str, uid: str) -> list[Object]:
        await self._answered("list", "events")
        return []

    async def list_pod_events(self, namespace: str, uid: str) -> list[Object]:
        self.asked.append(("list", f"events of {uid}"))
        if self.silent_about_events:
            await asyncio.Event().wait()
        await asyncio.sleep(self.seconds)
        return [event for event in self.pod_events if event["involvedObject"]["uid"] == uid]

    async def read_node(self, name: str) -> Object:
        await self._answered("get", f"node {name}")
        if not self.may_read_nodes:
            raise ApiError(403, "Forbidden", "nodes")
        if name not in self.nodes:
            raise ApiError(404, "NotFound", name)
        return self.nodes[name]

    async def may(self, verb: str, group: str, resource: str) -> bool:
        await self._answered("ask", f"{verb} {resource}")
        return self.may_read_nodes

    async def read_log_tail(self, namespace: str, pod: str, lines: int) -> str:
        self.asked.append(("log", pod))
        if self.objects["Pod", namespace, pod]["spec"]["nodeName"].startswith(UNREACHABLE):
            self.hanging += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.hanging -= 1
        await self._answered("read", pod)
        return self.logs.get(pod, "")

    async def create_event(self, namespace: str, event: Object) -> None:
        await self._answered("event", event["reason"])
        self.events.append(event)

    async def _answered(self, verb: str, name: str) -> None:
        self.asked.append((verb, name))
        await asyncio.sleep(self.seconds)

    def _stamped(self, thing: dict[str, Any]) -> dict[str, Any]:
        return {**thing, "metadata": {**thing["metadata"], "resourceVersion": str(next(self._versions))}}


def _is_of(thing: Object, key: Key) -> bool:
    labels = thing["metadata"].get("labels") or {}
    return thing["metadata"]["namespace"] == key[0] and labels.get(JOB_LABEL) == key[1] and CHILD_LABEL in labels
