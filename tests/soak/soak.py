"""One soak, and what came of it."""

import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kubernetes import client

from chaos.actors import Acting, Programs
from chaos.audit import creations
from chaos.scripts import STAGES, Script
from distillation_operator.controller.kube import RESOURCES
from distillation_operator.manifests.bare_reading import has_ended
from distillation_operator.manifests.labels import JOB_LABEL, SELECTOR
from distillation_operator.pipeline.names import child_name
from soak.weather import Weather
from support.eventually import eventually
from support.faulty_server import FaultyServer
from support.objects import Jobs
from support.operating import Operator
from support.small_job import manifest, named
from testbed.cluster import Testbed

NAMESPACES = 4
NOTICED_SECONDS = 30.0
LOOK_SECONDS = 5.0
CREATED_AT_ONCE = 10
"""In one look, so that jobs don't march in step."""
MEMORY_SHARE = 1 / 6
"""Of the time, after which memory is expected to be flat: ten minutes of an hour."""
FLAT = 1.10
SHORTEST_FOR_MEMORY = 1800.0
"""Seconds: in shorter ones it is still filling its pools."""


@dataclass(frozen=True)
class Outcome:
    """What a soak has shown."""

    active: int
    """Jobs at once."""
    jobs: int
    complete: int
    missed: int
    """Jobs whose children had all ended, and that got no other one within the longest fault and 30 seconds."""
    longestWaitSeconds: float
    """The longest time of a job that only waits for the operator; looked at every five seconds."""
    createdTwice: int
    wrongChildren: int
    """Complete jobs that have made more or fewer than one child for each stage."""
    operatorEnds: int
    faults: dict[str, int]
    """How often each came."""
    memoryEarlyMiB: float
    memoryLateMiB: float
    memoryPeakMiB: float
    cpuShare: float
    """Of a processor, that the operator used."""
    seconds: float
    seed: int

    @property
    def good(self) -> bool:
        """Whether nothing was missed, nothing done twice, and memory was flat where the soak was long enough."""
        wrong = self.missed + self.createdTwice + self.wrongChildren + self.operatorEnds
        flat = self.seconds < SHORTEST_FOR_MEMORY or self.memoryLateMiB <= FLAT * self.memoryEarlyMiB
        return wrong == 0 and self.complete == self.jobs and flat

    def as_json(self) -> str:
        """One line."""
        return json.dumps({**asdict(self), "good": self.good})


class Soak:
    """``active`` jobs at a time in four namespaces, each replaced when it is complete, and one operator.

    ``longest_run``: of a pod, in seconds. ``fault_seconds``, ``calm_seconds``: the shortest and longest time of the
    faults that last, and between two faults.
    """

    def __init__(
        self,
        testbed: Testbed,
        api: client.ApiClient,
        folder: Path,
        active: int,
        seconds: float,
        seed: int,
        longest_run: float,
        fault_seconds: tuple[float, float],
        calm_seconds: tuple[float, float],
    ) -> None:
        self._testbed = testbed
        self._api = api
        self._folder = folder
        self._active = active
        self._seconds = seconds
        self._seed = seed
        self._fault_seconds = fault_seconds
        self._calm_seconds = calm_seconds
        self._namespaces = [f"soak-{seed}-{number}" for number in range(NAMESPACES)]
        self._jobs = {name: Jobs(client.CustomObjectsApi(api), name) for name in self._namespaces}
        self._scripts: dict[str, dict[str, Script]] = {name: {} for name in self._namespaces}
        self._programs = [Programs(api, name, self._scripts[name], seed, 0, longest_run) for name in self._namespaces]
        self._made = 0
        self._complete: set[tuple[str, str]] = set()
        self._idle_since: dict[tuple[str, str], float] = {}
        self._missed: set[tuple[str, str]] = set()
        self._longest_wait = 0.0
        self._ends = 0
        self._memory: list[tuple[float, int]] = []
        self._replacing = True

    def run(self) -> Outcome:
        """Everything, to the end of the last job."""
        core: Any = client.CoreV1Api(self._api)
        for name in self._namespaces:
            core.create_namespace({"metadata": {"name": name}})
        with FaultyServer(self._testbed, self._folder, self._seed) as server:
            first, *others = self._namespaces
            more = [argument for name in others for argument in ("--namespace", name)]
            operator = Operator(server.kubeconfig, first, self._folder / "operator.log", *more)
            operator.start()
            try:
                return self._run(server, operator)
            finally:
                if operator.exit_code() is None:
                    operator.end()

    def _run(self, server: FaultyServer, operator: Operator) -> Outcome:
        begun = time.monotonic()
        weather = Weather(server, self._seed, self._fault_seconds, self._calm_seconds)
        acting = [Acting(one.step, 1.0) for one in self._programs]
        looking = Acting(lambda: self._look(operator, begun), LOOK_SECONDS)
        for thread in (*acting, looking, weather):
            thread.start()
        time.sleep(self._seconds)
        weather.end()
        self._replacing = False
        for one in self._programs:
            one.hurry()

        def all_ended() -> bool:
            for actor in (*acting, looking):
                if not actor.is_alive():
                    actor.end()
            return len(self._complete) == self._made

        seconds, cpu = time.monotonic() - begun, operator.cpu_seconds()
        eventually("all jobs are complete", all_ended, seconds=600 + 10 * self._active, pause=LOOK_SECONDS)
        for actor in (*acting, looking):
            actor.end()
        return self._outcome(weather, seconds, cpu)

    def _look(self, operator: Operator, begun: float) -> None:
        """Replace what is complete, and note what waits for the operator."""
        if operator.exit_code() is not None:
            self._ends += 1
            operator.start()
        self._memory.append((time.monotonic() - begun, operator.memory()))
        unfinished = {place for name in self._namespaces for place in self._unfinished(name)}
        # The children after the jobs: one that has got a child meanwhile doesn't wait.
        at_work = {place for name in self._namespaces for place in self._with_work(name)}
        now = time.monotonic()
        waiting = unfinished - at_work
        self._idle_since = {place: self._idle_since.get(place, now) for place in waiting}
        for place, since in self._idle_since.items():
            self._longest_wait = max(self._longest_wait, now - since)
            if now - since > self._fault_seconds[1] + NOTICED_SECONDS and place not in self._missed:
                self._missed.add(place)
                print(f"soak: {'/'.join(place)} waits: {self._stages_of(place)}", flush=True)
        if self._replacing:
            for _ in range(min(CREATED_AT_ONCE, self._active - len(unfinished))):
                self._create()

    def _stages_of(self, place: tuple[str, str]) -> str:
        """What a job's status says of the stages that aren't complete, in words."""
        stages = (self._jobs[place[0]].get(place[1]).get("status") or {}).get("stages", [])
        left = [stage for stage in stages if stage["state"] not in ("Complete", "Waiting")]
        return "; ".join(f"{one['name']} {one['state']} {one.get('message', '')}" for one in left) or "no stage runs"

    def _create(self) -> None:
        namespace, name = self._namespaces[self._made % NAMESPACES], f"job-{self._made}"
        self._scripts[namespace][name] = Script()
        self._jobs[namespace].create(named(manifest(), name))
        self._made += 1

    def _unfinished(self, namespace: str) -> set[tuple[str, str]]:
        """The jobs that aren't complete; those that are complete are deleted."""
        objects: Any = client.CustomObjectsApi(self._api)
        listed = objects.list_namespaced_custom_object("distillation.dev", "v1alpha1", namespace, "distillationjobs")
        found = set()
        for job in listed["items"]:
            place = (namespace, job["metadata"]["name"])
            if (job.get("status") or {}).get("phase") != "Complete":
                found.add(place)
            elif "deletionTimestamp" not in job["metadata"]:
                self._complete.add(place)
                self._jobs[namespace].delete(place[1])
        return found

    def _with_work(self, namespace: str) -> set[tuple[str, str]]:
        """The jobs that have a Job or JobSet which hasn't ended: it is for Kubernetes' own controllers to go on."""
        objects: Any = client.CustomObjectsApi(self._api)
        found = set()
        for group, version, plural in (RESOURCES["Job"], RESOURCES["JobSet"]):
            answer = objects.list_namespaced_custom_object(
                group, version, namespace, plural, label_selector=SELECTOR, resource_version="0"
            )
            left = [child for child in answer["items"] if not has_ended(child)]
            found |= {(namespace, child["metadata"]["labels"][JOB_LABEL]) for child in left}
        return found

    def _outcome(self, weather: Weather, seconds: float, cpu: float) -> Outcome:
        made = creations(self._testbed.audit_log)
        early, late = self._memory_at(MEMORY_SHARE * self._seconds), self._memory_at(self._seconds)
        return Outcome(
            active=self._active,
            jobs=self._made,
            complete=len(self._complete),
            missed=len(self._missed),
            longestWaitSeconds=round(self._longest_wait, 1),
            createdTwice=sum(count > 1 for (place, _), count in made.items() if place in self._namespaces),
            wrongChildren=sum(self._has_wrong_children(made, place) for place in self._complete),
            operatorEnds=self._ends,
            faults=dict(weather.seen),
            memoryEarlyMiB=early,
            memoryLateMiB=late,
            memoryPeakMiB=round(max(size for _, size in self._memory) / 2**20, 1),
            cpuShare=round(cpu / seconds, 3),
            seconds=round(seconds, 1),
            seed=self._seed,
        )

    def _has_wrong_children(self, made: Mapping[tuple[str, str], int], place: tuple[str, str]) -> bool:
        differing = _children(made, place) ^ _expected(place[1])
        if differing:
            print(f"soak: {'/'.join(place)} made too much or too little: {', '.join(sorted(differing))}", flush=True)
        return bool(differing)

    def _memory_at(self, seconds: float) -> float:
        """The middle of what it held in the time before, a twelfth of the whole."""
        sizes = [size for when, size in self._memory if seconds - self._seconds / 12 <= when <= seconds]
        return round(statistics.median(sizes or [size for _, size in self._memory]) / 2**20, 1)


def _children(made: Mapping[tuple[str, str], int], place: tuple[str, str]) -> set[str]:
    return {name for where, name in made if where == place[0] and name.startswith(f"{place[1]}-")}


def _expected(job: str) -> set[str]:
    return {child_name(job, stage, 0) for stage in STAGES}
