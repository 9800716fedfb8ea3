"""The jobs: thousands that have finished, copied from one that really has, and those that run."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.control_plane.api import GROUP, Api, Object, Refused
from benchmarks.control_plane.handoff import JobPlan
from distillation_api.spec import DistillationJobSpec
from distillation_operator.pipeline.graph import build_pipeline
from distillation_operator.pipeline.names import child_name
from support.small_job import manifest, named

WRITERS = 16
"""Requests of the benchmark that are under way at the same time."""
ACTIVE_NAMESPACES = 10
PAGE = 500
LIST_SECONDS = 2.0
"""Between two looks at how far a load is."""
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
"""A row of columns in place of each object: what kubectl prints."""

Key = tuple[str, str]


@dataclass
class Finished:
    """The finished jobs, and what writing them took."""

    versions: dict[Key, str] = field(default_factory=dict)
    """Resource version of each as it was written."""
    seconds: float = 0.0
    object_bytes: int = 0
    status_bytes: int = 0

    def figures(self) -> dict[str, Any]:
        """Number, rate and sizes."""
        writes = 2 * len(self.versions)
        return {
            "jobs": len(self.versions),
            "seconds": round(self.seconds, 1),
            "writesPerSecond": round(writes / self.seconds) if self.seconds else 0,
            "objectBytes": self.object_bytes,
            "statusBytes": self.status_bytes,
        }


def jobs_path(namespace: str) -> str:
    """The path of a namespace's DistillationJobs."""
    return f"{GROUP}/namespaces/{namespace}/distillationjobs"


async def create_namespaces(api: Api, names: Iterable[str]) -> None:
    """Create namespaces, but for those that exist."""

    async def create(name: str) -> None:
        try:
            await api.create("/api/v1/namespaces", {"metadata": {"name": name}})
        except Refused as refused:
            if refused.status != 409:
                raise

    await _side_by_side(create, list(names))


async def write_finished(api: Api, template: Object, count: int, namespaces: int) -> Finished:
    """Write so many jobs with the template's status, in which names and folders are those of each."""
    made = Finished()
    names = [f"finished-{number:03}" for number in range(namespaces)]
    await create_namespaces(api, names)
    begun = time.monotonic()

    async def write(number: int) -> None:
        namespace, name = names[number % namespaces], f"done-{number:06}"
        created = await api.create(jobs_path(namespace), named(manifest(), name))
        body = {**created, "status": status_of(template, name)}
        written = await api.replace(f"{jobs_path(namespace)}/{name}/status", body)
        made.versions[namespace, name] = written["metadata"]["resourceVersion"]
        if not made.object_bytes:
            made.object_bytes = len(json.dumps(written, separators=(",", ":")))
            made.status_bytes = len(json.dumps(written["status"], separators=(",", ":")))

    await _side_by_side(write, range(count))
    made.seconds = time.monotonic() - begun
    return made


def status_of(template: Object, name: str) -> Object:
    """The template's status as that of a job of another name: its folders and children are named after it."""
    old, status = template["metadata"]["name"], json.dumps(template["status"])
    return dict(json.loads(status.replace(f"{old}/", f"{name}/").replace(f"{old}-", f"{name}-")))


class ActiveLoad:
    """Jobs that run, of one phase of the benchmark."""

    def __init__(self, api: Api, name: str, count: int) -> None:
        self._api = api
        self._spaces = [f"{name}-{number}" for number in range(min(ACTIVE_NAMESPACES, count))]
        self.keys = [(self._spaces[number % len(self._spaces)], f"{name}-{number:04}") for number in range(count)]
        self.plans = [plan_of(key) for key in self.keys]

    async def prepare(self) -> None:
        """Create the namespaces."""
        await create_namespaces(self._api, self._spaces)

    async def create(self) -> None:
        """Create all jobs as fast as the API server takes them."""
        await _side_by_side(self._create, self.keys)

    async def _create(self, key: Key) -> None:
        namespace, name = key
        await self._api.create(jobs_path(namespace), named(manifest(), name))

    async def phases(self) -> dict[Key, str]:
        """The phase of each job, as kubectl prints it."""
        found: dict[Key, str] = {}
        for namespace in self._spaces:
            table = await self._api.get(jobs_path(namespace), TABLE, resourceVersion="0", includeObject="None")
            columns = [one["name"] for one in table["columnDefinitions"]]
            for row in table["rows"]:
                cells = dict(zip(columns, row["cells"], strict=True))
                found[namespace, cells["Name"]] = cells["Phase"] or ""
        return found

    async def wait_complete(self, seconds: float, look: Callable[[], None]) -> None:
        """Wait until all jobs are complete. ``look`` is called in between, to raise what has gone wrong. Raises
        TimeoutError."""
        deadline = time.monotonic() + seconds
        while True:
            phases = await self.phases()
            waiting = [key for key in self.keys if phases.get(key) != "Complete"]
            if not waiting:
                return
            look()
            if time.monotonic() > deadline:
                names = ", ".join("/".join(key) for key in waiting[:5])
                raise TimeoutError(f"{len(waiting)} jobs are not complete after {seconds:.0f} s, such as {names}")
            await asyncio.sleep(LIST_SECONDS)


def plan_of(key: Key) -> JobPlan:
    """What a small job's operator has to create."""
    namespace, name = key
    pipeline = build_pipeline(DistillationJobSpec.model_validate(named(manifest(), name)["spec"]))
    children = {stage.name: child_name(name, stage.name, 0) for stage in pipeline.values()}
    return JobPlan(namespace, name, children, {stage.name: list(stage.needs) for stage in pipeline.values()})


async def list_jobs(api: Api) -> list[Object]:
    """All DistillationJobs: their metadata and phase."""
    found: list[Object] = []
    query = {"limit": str(PAGE)}
    while True:
        page = await api.get(f"{GROUP}/distillationjobs", **query)
        for job in page["items"]:
            metadata = {name: job["metadata"][name] for name in ("namespace", "name", "resourceVersion")}
            found.append({"metadata": metadata, "phase": (job.get("status") or {}).get("phase", "")})
        if not page["metadata"].get("continue"):
            return found
        query["continue"] = page["metadata"]["continue"]


async def _side_by_side[T](act: Callable[[T], Awaitable[None]], things: Sequence[T]) -> None:
    waiting = iter(things)

    async def work() -> None:
        for thing in waiting:
            await act(thing)

    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(work())
