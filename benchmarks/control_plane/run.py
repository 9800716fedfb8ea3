"""All phases of one operator on a testbed of its own."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.control_plane.api import AGENT, Api
from benchmarks.control_plane.audit import (
    AuditLog,
    Call,
    calls_by_kind,
    is_creation,
    reads_and_writes,
    writes_by_kind,
)
from benchmarks.control_plane.check import Check, check
from benchmarks.control_plane.contender import MIB, Contender
from benchmarks.control_plane.empty_handler import EmptyHandler
from benchmarks.control_plane.handoff import CONTROLLERS, Seen, hand_off_figures
from benchmarks.control_plane.load import ActiveLoad, Finished, jobs_path, list_jobs, write_finished
from benchmarks.control_plane.options import Load, Parameters
from benchmarks.control_plane.percentiles import summary
from benchmarks.control_plane.processors import Processors
from benchmarks.control_plane.programs import Programs
from testbed.cluster import Testbed
from testbed.console import Say

SETTLE_SECONDS = 900.0
LOAD_SECONDS = 1800.0
AUDIT_SECONDS = 1.0
"""The API server writes its log a little after its answers."""
LEASE = "default/control-plane-benchmark"
FAILOVER_LEASE_SECONDS = 60.0


class Run:
    """One operator, measured."""

    def __init__(
        self,
        testbed: Testbed,
        api: Api,
        programs: Programs,
        source: Path,
        folder: Path,
        parameters: Parameters,
        say: Say,
    ) -> None:
        self._testbed = testbed
        self._api = api
        self._programs = programs
        self._source = source
        self._folder = folder
        self._parameters = parameters
        self._say = say
        self._audit = AuditLog(testbed.audit_log)
        self._calls: list[Call] = []
        self._loads: list[ActiveLoad] = []
        self._finished = Finished()
        self.figures: dict[str, Any] = {}

    async def run(self, with_empty_handler: bool) -> Check:
        """Everything, to the end; what came of the jobs."""
        phases = self._parameters.phases
        await self._generate()
        if with_empty_handler and "coldStart" in phases:
            await self._empty_handler()
        async with self._operator("cold") as operator:
            await self._cold_start(operator)
            hand_offs = self._parameters.hand_offs if "handOff" in phases else ()
            last = hand_offs[-1:] if "restart" in phases else ()
            for load in hand_offs[: len(hand_offs) - len(last)]:
                self._note("handOff", await self._hand_off(operator, load))
            if last:
                operator = await self._restart(operator, last[0])
            if "burst" in phases:
                self.figures["burst"] = await self._hand_off(operator, self._parameters.burst, "burst")
        if "failover" in phases:
            await self._failover()
        await self._read_audit()
        plans = [plan for load in self._loads for plan in load.plans]
        return check(await list_jobs(self._api), self._finished.versions, plans, self._calls)

    async def _generate(self) -> None:
        """A job that really finishes, and the copies of it."""
        self._programs.release(0.5)
        async with self._operator("template") as operator:
            operator.start()
            template = await self._load("template", 1)
            await template.create()
            await template.wait_complete(LOAD_SECONDS, self._looking(operator))
            await operator.settle(1, SETTLE_SECONDS)
            self.figures["oneJob"] = {"memoryMiB": round(operator.memory() / MIB)}
        jobs = self._parameters.jobs
        self._say(f"writing {jobs} finished jobs")
        namespace, name = template.keys[0]
        job = await self._api.get(f"{jobs_path(namespace)}/{name}")
        self._finished = await write_finished(self._api, job, jobs, self._parameters.namespaces)
        self.figures["generator"] = self._finished.figures()
        self._say(f"{jobs} finished jobs are written")

    async def _empty_handler(self) -> None:
        handler = EmptyHandler(self._testbed.kubeconfig, self._parameters.jobs + 1, self._folder / "empty-handler.log")
        handler.start()
        try:
            self.figures["emptyHandler"] = (await handler.settle(SETTLE_SECONDS)).figures()
        finally:
            handler.stop()
        self._say("the empty handler was given all jobs")

    async def _cold_start(self, operator: Contender) -> None:
        await self._read_audit()
        begun = time.time()
        operator.start()
        settled = await operator.settle(self._known_jobs(), SETTLE_SECONDS)
        self._say(f"cold start: {settled.figures()}")
        if "coldStart" not in self._parameters.phases:
            return
        calls = await self._since(begun)
        growth = settled.memory / MIB - self.figures["oneJob"]["memoryMiB"]
        self.figures["coldStart"] = {
            **settled.figures(),
            "memoryMiBPer1000Jobs": round(1000 * growth / self._known_jobs(), 1),
            **reads_and_writes(calls),
            "calls": calls_by_kind(calls),
        }
        begun, used = time.time(), operator.cpu_seconds()
        await asyncio.sleep(self._parameters.rest_seconds)
        percent = 100 * (operator.cpu_seconds() - used) / (time.time() - begun)
        calls = await self._since(begun)
        self.figures["rest"] = {
            "seconds": self._parameters.rest_seconds,
            "cpuPercent": round(percent, 2),
            "memoryMiB": round(operator.memory() / MIB),
            **reads_and_writes(calls),
        }
        self._say(f"at rest: {self.figures['rest']}")

    async def _hand_off(self, operator: Contender, load: Load, name: str | None = None) -> dict[str, Any]:
        """A load from its creation to its end; no pod ends before all first children are there."""
        measured = await self._begin(operator, load, name)
        self._programs.release(load.seconds)
        return await self._to_the_end(operator, load, measured)

    async def _begin(self, operator: Contender, load: Load, name: str | None) -> "_Measured":
        made = await self._load(name or f"active{len(self._loads)}-{load.active}", load.active)
        self._programs.hold()
        await self._read_audit()
        measured = _Measured(made)
        with measured.work_of(operator):
            await made.create()
            await self._first_children(operator, made)
            await operator.settle(self._known_jobs(), SETTLE_SECONDS)
        return measured

    async def _first_children(self, operator: Contender, load: ActiveLoad) -> None:
        """Wait until each job has all children that need no other."""
        wanted = {child for plan in load.plans for child in plan.first_children()}
        deadline = time.monotonic() + LOAD_SECONDS
        looked, look = len(self._calls), self._looking(operator)
        while wanted:
            look()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(wanted)} first children are missing after {LOAD_SECONDS:.0f} s")
            await self._read_audit()
            wanted -= {(call.namespace, call.name) for call in self._calls[looked:] if is_creation(call)}
            looked = len(self._calls)

    async def _to_the_end(self, operator: Contender, load: Load, measured: "_Measured") -> dict[str, Any]:
        begun, used = time.time(), operator.cpu_seconds()
        processors = Processors(self._testbed)
        with measured.work_of(operator):
            await measured.load.wait_complete(LOAD_SECONDS, self._looking(operator))
            seconds = time.time() - begun
            cores = {"operator": round((operator.cpu_seconds() - used) / seconds, 2), **processors.shares()}
            await operator.settle(self._known_jobs(), SETTLE_SECONDS)
        await self._read_audit()
        figures = self._figures_of(load, measured)
        figures |= {"seconds": round(seconds, 1), "cores": cores, "peakMiB": round(operator.peak_memory() / MIB)}
        self._say(f"{load}: hand-off {figures['handOff']}, {figures['cpuMillisecondsPerJob']} ms a job")
        return figures

    def _figures_of(self, load: Load, measured: "_Measured") -> dict[str, Any]:
        plans = measured.load.plans
        spaces = {plan.namespace for plan in plans}
        calls = [call for call in self._calls if call.namespace in spaces]
        seen = Seen(calls, self._programs.child_of)
        firsts = [seconds for plan in plans if (seconds := seen.first_child(plan)) is not None]
        found = [one for plan in plans for one in seen.hand_offs(plan)]
        # Not by namespace: some of its calls are for all of them.
        own = [call for call in self._calls if call.by_operator and measured.covers(call.received)]
        return {
            "active": load.active,
            "podSeconds": load.seconds,
            "handOff": hand_off_figures(found),
            "firstChild": summary(firsts),
            "cpuMillisecondsPerJob": round(1000 * measured.cpu / load.active),
            "callsPerJob": round(len(own) / load.active, 1),
            "writesPerJob": {kind: round(n / load.active, 1) for kind, n in writes_by_kind(own).items()},
            "calls": calls_by_kind(own),
        }

    async def _restart(self, operator: Contender, load: Load) -> Contender:
        """The operator is killed while all jobs of a load have children, whose pods end after it has settled."""
        measured = await self._begin(operator, load, None)
        operator.end()
        await self._read_audit()
        begun = time.time()
        operator.start()
        settled = await operator.settle(self._known_jobs(), SETTLE_SECONDS)
        calls = await self._since(begun)
        kinds = {**reads_and_writes(calls), "calls": calls_by_kind(calls)}
        self.figures["restart"] = {"active": load.active, **settled.figures(), **kinds}
        self._say(f"restart: {settled.figures()}")
        self._programs.release(load.seconds)
        self._note("handOff", await self._to_the_end(operator, load, measured))
        return operator

    async def _failover(self) -> None:
        """Two replicas: the leader is killed, then the other is ended politely; a job is created at once."""
        self._programs.release(1.0)
        names = ("first", "second")
        replicas = [Contender(self._testbed, self._source, self._folder, name, "--lease", LEASE) for name in names]
        found: dict[str, float] = {}
        try:
            for replica in replicas:
                replica.start()
                await replica.settle(self._known_jobs(), SETTLE_SECONDS, acts=replica is replicas[0])
            for how, number in (("killed", signal.SIGKILL), ("terminated", signal.SIGTERM)):
                leader = await _leader(replicas)
                made = await self._load(f"failover-{how}", 1)
                begun = time.time()
                leader.signal(number)
                await made.create()
                other = next(replica for replica in replicas if replica is not leader)
                await made.wait_complete(LOAD_SECONDS, self._looking(other))
                await self._read_audit()
                created = Seen(self._calls, {}).creations
                children = [(made.plans[0].namespace, child) for child in made.plans[0].children.values()]
                found[how] = round(min(created[child].done for child in children) - begun, 1)
                leader.stop()
                if number == signal.SIGKILL:
                    leader.start()
                    await leader.settle(self._known_jobs(), SETTLE_SECONDS, acts=False)
        finally:
            for replica in replicas:
                replica.stop()
        self.figures["failover"] = {f"{how}Seconds": seconds for how, seconds in found.items()}
        self._say(f"failover: {self.figures['failover']}")

    @asynccontextmanager
    async def _operator(self, name: str) -> AsyncIterator[Contender]:
        """An operator that has to be started, and is ended."""
        operator = Contender(self._testbed, self._source, self._folder, name)
        try:
            yield operator
        finally:
            operator.stop()

    async def _load(self, name: str, count: int) -> ActiveLoad:
        made = ActiveLoad(self._api, name, count)
        await made.prepare()
        self._loads.append(made)
        return made

    def _known_jobs(self) -> int:
        return len(self._finished.versions) + sum(len(load.keys) for load in self._loads)

    def _looking(self, operator: Contender) -> Callable[[], None]:
        """What raises whatever has gone wrong meanwhile."""

        def look() -> None:
            operator.check()
            self._programs.check()

        return look

    def _note(self, phase: str, figures: dict[str, Any]) -> None:
        self.figures.setdefault(phase, []).append(figures)

    async def _read_audit(self) -> None:
        await asyncio.sleep(AUDIT_SECONDS)
        self._calls += self._audit.read(_matters)

    async def _since(self, begun: float) -> Sequence[Call]:
        """The operator's calls since then."""
        await self._read_audit()
        return [call for call in self._calls if call.by_operator and call.received >= begun]


def _matters(call: Call) -> bool:
    return call.by_operator or call.agent == AGENT or call.resource in CONTROLLERS


@dataclass
class _Measured:
    load: ActiveLoad
    cpu: float = 0.0
    """Processor seconds of the operator for it."""
    times: list[tuple[float, float]] = field(default_factory=list)
    """When the operator was at it; between two of them it was started again."""

    @contextmanager
    def work_of(self, operator: Contender) -> Iterator[None]:
        """Count what the operator does meanwhile."""
        begun, used = time.time(), operator.cpu_seconds()
        yield
        self.cpu += operator.cpu_seconds() - used
        self.times.append((begun, time.time()))

    def covers(self, when: float) -> bool:
        """Whether the operator was at it then."""
        return any(begun <= when <= end for begun, end in self.times)


async def _leader(replicas: Sequence[Contender]) -> Contender:
    """Who leads. Raises TimeoutError."""
    async with asyncio.timeout(FAILOVER_LEASE_SECONDS):
        while True:
            for replica in replicas:
                if (await replica.metrics()).get("distillation_leader") == 1:
                    return replica
            await asyncio.sleep(1.0)
