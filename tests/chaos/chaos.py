"""One run of chaos, and what came of it."""

import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kubernetes import client

from chaos.actors import Acting, Killer, Programs
from chaos.audit import creations, now, writes
from chaos.scripts import FAILURES, STAGES, Script, write_script
from distillation_operator.controller.cache import is_made_by_jobset
from distillation_operator.pipeline.names import child_name
from support.eventually import eventually
from support.objects import Jobs
from support.operating import Operator
from support.small_job import manifest, named
from testbed.cluster import Testbed

NAMESPACES = 4
LEASE = "operator"
API_SERVER_RESTARTS = 2
SETTLED_SECONDS = 5
"""The Event of the last transition and the end of what still runs come after the status, on a busy machine late."""


@dataclass(frozen=True)
class Outcome:
    """What a run has shown."""

    jobs: int
    asScripted: int
    """Jobs that ended as their script says."""
    complete: int
    failed: int
    children: int
    createdTwice: int
    wrongNumberOfAttempts: int
    """Stages of complete jobs that were tried more or less often than their script says."""
    evictions: int
    operatorKills: int
    leaders: int
    """Processes that led, one after the other."""
    apiServerRestarts: int
    writesAfterTheEnd: int
    writesAfterARestart: int
    quietSeconds: float
    seconds: float
    seed: int

    @property
    def good(self) -> bool:
        """Whether nothing was lost and nothing done twice."""
        wrong = self.createdTwice + self.wrongNumberOfAttempts + self.writesAfterTheEnd + self.writesAfterARestart
        return self.asScripted == self.jobs and wrong == 0

    def as_json(self) -> str:
        """One line."""
        return json.dumps({**asdict(self), "good": self.good})


class Chaos:
    """``count`` jobs in four namespaces, two replicas of the operator, and all that happens to them."""

    def __init__(
        self,
        testbed: Testbed,
        api: client.ApiClient,
        folder: Path,
        count: int,
        seed: int,
        quiet_seconds: float,
        kill_seconds: tuple[float, float] = (5.0, 15.0),
        most_evictions: int = 100,
    ) -> None:
        self._testbed = testbed
        self._api = api
        self._seed = seed
        self._quiet = quiet_seconds
        self._kill_seconds = kill_seconds
        self._most_evictions = most_evictions
        self._leaders: set[str] = set()
        chance = random.Random(seed)
        self._namespaces = [f"chaos-{seed}-{number}" for number in range(NAMESPACES)]
        self._scripts: dict[str, dict[str, Script]] = {name: {} for name in self._namespaces}
        for number in range(count):
            self._scripts[self._namespaces[number % NAMESPACES]][f"job-{number}"] = write_script(chance)
        first, *others = self._namespaces
        more = [argument for name in others for argument in ("--namespace", name)]
        self._operators = [
            Operator(testbed.kubeconfig, first, folder / f"{name}.log", *more, "--lease", f"{first}/{LEASE}",
                     replica=name)
            for name in ("red", "blue")
        ]  # fmt: skip

    def run(self) -> Outcome:
        """Everything, to the end."""
        begun = time.monotonic()
        core: Any = client.CoreV1Api(self._api)
        for name in self._namespaces:
            core.create_namespace({"metadata": {"name": name}})
        programs = {
            name: Programs(self._api, name, self._scripts[name], self._seed, self._most_evictions)
            for name in self._namespaces
        }
        for operator in self._operators:
            operator.start()
        killer = Killer(self._operators, self._seed, self._kill_seconds)
        acting = [Acting(one.step, 0.3) for one in programs.values()]
        acting += [Acting(killer.step, 0.2), Acting(self._note_leader, 1.0)]
        for actor in acting:
            actor.start()
        try:
            self._create()
            for part in range(1, API_SERVER_RESTARTS + 1):
                self._wait(acting, part / (API_SERVER_RESTARTS + 2))
                self._testbed.restart("kube-apiserver")
            self._wait(acting, 1.0)
            for actor in acting:
                actor.end()
            seconds = time.monotonic() - begun
            self._settle()
            after_the_end = self._writes_in_quiet(now())
            restarted = now()
            for operator in self._operators:
                operator.end()
                operator.start()
            eventually("a leader", lambda: self._holder() not in self._leaders, 120)
            after_a_restart = self._writes_in_quiet(restarted)
            return self._outcome(programs, killer, after_the_end, after_a_restart, seconds)
        finally:
            for operator in self._operators:
                if operator.exit_code() is None:
                    operator.end()

    def _create(self) -> None:
        for namespace, scripts in self._scripts.items():
            jobs = Jobs(client.CustomObjectsApi(self._api), namespace)
            for name in scripts:
                jobs.create(named(manifest(retries={"failures": FAILURES, "disruptions": 100}), name))

    def _phases(self) -> dict[tuple[str, str], str | None]:
        phases: dict[tuple[str, str], str | None] = {}
        for namespace in self._namespaces:
            for job in self._list(namespace):
                phases[namespace, job["metadata"]["name"]] = (job.get("status") or {}).get("phase")
        return phases

    def _list(self, namespace: str) -> list[Mapping[str, Any]]:
        jobs: Any = client.CustomObjectsApi(self._api)
        return list(
            jobs.list_namespaced_custom_object("distillation.dev", "v1alpha1", namespace, "distillationjobs")["items"]
        )

    def _wait(self, acting: list[Acting], share: float) -> None:
        """Until that share of the jobs has ended."""

        def enough() -> bool:
            for actor in acting:
                if not actor.is_alive():
                    actor.end()
            phases = self._phases()
            ended = sum(phase in ("Complete", "Failed") for phase in phases.values())
            print(f"chaos: {ended} of {len(phases)} jobs have ended", flush=True)
            return ended >= share * len(phases)

        eventually(f"{share:.0%} of the jobs have ended", enough, seconds=3600, pause=5)

    def _settle(self) -> None:
        """Until what follows the last end is written."""
        latest = timedelta(seconds=SETTLED_SECONDS)
        log = self._testbed.audit_log
        eventually(f"no write for {SETTLED_SECONDS} s", lambda: not any(writes(log, now() - latest)), pause=1)

    def _writes_in_quiet(self, since: datetime) -> int:
        """The writes since then, seen from so much later."""
        time.sleep(self._quiet)
        return sum(1 for _ in writes(self._testbed.audit_log, since))

    def _children(self) -> list[tuple[str, str]]:
        """Namespace and name of all Jobs and JobSets of stages."""
        api: Any = client.CustomObjectsApi(self._api)
        kinds = (("batch", "v1", "jobs"), ("jobset.x-k8s.io", "v1alpha2", "jobsets"))
        listed = [
            child["metadata"]
            for namespace in self._namespaces
            for kind in kinds
            for child in api.list_namespaced_custom_object(kind[0], kind[1], namespace, kind[2])["items"]
            if not is_made_by_jobset(child)
        ]
        return [(metadata["namespace"], metadata["name"]) for metadata in listed]

    def _holder(self) -> str:
        """Who leads, or was the last to."""
        lease: Any = client.CoordinationV1Api(self._api).read_namespaced_lease(LEASE, self._namespaces[0])
        return str(lease.spec.holder_identity)

    def _note_leader(self) -> None:
        with contextlib.suppress(client.ApiException):
            self._leaders.add(self._holder())

    def _tell_surprises(self, phases: Mapping[tuple[str, str], str | None]) -> None:
        """Each job that didn't end as its script says, with why."""
        for namespace, scripts in self._scripts.items():
            for job in self._list(namespace):
                name = job["metadata"]["name"]
                if phases[namespace, name] != scripts[name].phase:
                    failures = json.dumps(job["status"].get("lastFailures"))
                    print(f"chaos: {name} ended {phases[namespace, name]}, script {scripts[name].outcomes}: {failures}")

    def _outcome(
        self, programs: Mapping[str, Programs], killer: Killer, after_the_end: int, after_a_restart: int, seconds: float
    ) -> Outcome:
        phases = self._phases()
        created = creations(self._testbed.audit_log)
        created = Counter({child: count for child, count in created.items() if child[0] in self._namespaces})
        for child in self._children():
            # The last lines of its log are lost when an API server is killed.
            created.setdefault(child, 1)
        as_scripted = wrong = 0
        self._tell_surprises(phases)
        for namespace, scripts in self._scripts.items():
            for name, script in scripts.items():
                as_scripted += phases[namespace, name] == script.phase
                if script.phase == "Failed":
                    continue
                for stage in STAGES:
                    attempts = script.children(stage, programs[namespace].evictions[name, stage])
                    made = {child_name(name, stage, attempt) for attempt in range(100)}
                    seen = sum(1 for place, child in created if place == namespace and child in made)
                    if seen != attempts:
                        wrong += 1
                        evicted = programs[namespace].evictions[name, stage]
                        print(f"chaos: {name} made {stage} {seen} times, script {script.outcomes}, {evicted} evictions")
        return Outcome(
            jobs=len(phases),
            asScripted=as_scripted,
            complete=sum(phase == "Complete" for phase in phases.values()),
            failed=sum(phase == "Failed" for phase in phases.values()),
            children=len(created),
            createdTwice=sum(count > 1 for count in created.values()),
            wrongNumberOfAttempts=wrong,
            evictions=sum(sum(one.evictions.values()) for one in programs.values()),
            operatorKills=killer.kills,
            leaders=len(self._leaders),
            apiServerRestarts=API_SERVER_RESTARTS,
            writesAfterTheEnd=after_the_end,
            writesAfterARestart=after_a_restart,
            quietSeconds=self._quiet,
            seconds=round(seconds, 1),
            seed=self._seed,
        )
