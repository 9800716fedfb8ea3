"""One contestant's turn: its controller started, its jobs run, and the figures of both."""

import os
import queue
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes import client, config

from benchmarks.control_plane.argo import processes
from benchmarks.control_plane.argo.audit import (
    Call,
    Name,
    Stage,
    calls,
    hand_offs,
    last_events,
    spread,
    writes_per_job,
)
from benchmarks.control_plane.argo.contestants import Contestant
from benchmarks.control_plane.argo.pod_ender import PodEnder
from benchmarks.control_plane.argo.workflow import Graph
from support.audit import events
from testbed.cluster import Testbed
from testbed.components import Processes
from testbed.console import Say

AGENT = "control-plane-benchmark"
"""The user agent of the benchmark's own requests, which are nobody's cost."""

_NAMESPACES = 10
_QUIET_SECONDS = 5.0
_JOB_SECONDS = 3600.0
"""So long may it take until the next job has ended."""
_REST_SECONDS = 600.0
_RECENT_BYTES = 4_000_000
"""Of the audit log: more than what is written in the seconds without rest."""
_LOOK_SECONDS = 0.05
_CLUSTER = ("kube-apiserver", "etcd", "kube-controller-manager", "jobset")


@dataclass(frozen=True)
class Span:
    """From when until when something was measured, in seconds since 1970."""

    since: float
    until: float


class Turn:
    """One contestant's turn on a testbed that is up, without a scheduler."""

    def __init__(self, testbed: Testbed, contestant: Contestant, graph: Graph, say: Say) -> None:
        self._testbed = testbed
        self._contestant = contestant
        self._graph = graph
        self._say = say
        self._processes = Processes(testbed.site)
        self._client: Any = config.new_client_from_config(str(testbed.kubeconfig))  # type: ignore[no-untyped-call]
        self._client.user_agent = AGENT
        self._objects: Any = client.CustomObjectsApi(self._client)

    def measure(self, jobs: int, active: int) -> dict[str, Any]:
        """All figures of so many jobs, so many of them at once."""
        namespaces = self._namespaces()
        self._contestant.install(self._testbed.site)
        self._say(f"{self._contestant.name}: starting")
        load = round(os.getloadavg()[0], 2)
        self._start()
        self._wait_for_rest()
        empty = processes.memory(self._pid)
        before, begun = self._cpu(), time.time()
        names = [(namespaces[index % len(namespaces)], f"job-{index:05}") for index in range(jobs)]
        ender = self._run(names, active)
        ended = time.time()
        self._say(f"{self._contestant.name}: {jobs} jobs in {ended - begun:.1f} s")
        self._wait_for_rest()
        span, after = Span(begun, time.time()), self._cpu()
        finished = processes.memory(self._pid)
        figures = {
            "jobs": jobs,
            "active": active,
            "seconds": round(ended - begun, 2),
            "loadBefore": load,
            **self._of_audit(span, ender, jobs),
            "cpuMsPerJob": {name: round((after[name] - before[name]) / jobs * 1000, 1) for name in after},
            "memory": {
                "empty": empty,
                "allFinished": finished,
                "per1000JobsMB": round((finished["residentMB"] - empty["residentMB"]) / jobs * 1000, 1),
            },
            "coldStart": self._cold_start(empty["residentMB"], jobs),
        }
        self._processes.stop(self._contestant.name)
        return figures

    @property
    def _pid(self) -> int:
        pid = self._processes.pid(self._contestant.name)
        assert pid is not None, f"{self._contestant.name} was never started"
        return pid

    def _start(self) -> None:
        self._processes.start(self._contestant.component(self._testbed.site))

    def _wait_for_rest(self) -> float:
        """Wait until the controller neither works nor calls; when it did last, in seconds since 1970.

        One that is held back by its own limit of requests works too little to be seen by its CPU time alone.
        """
        deadline = time.monotonic() + _REST_SECONDS
        while True:
            busy = processes.wait_for_rest(self._pid, _QUIET_SECONDS, _REST_SECONDS)
            now = time.time()
            recent = calls(last_events(self._testbed.audit_log, _RECENT_BYTES), busy, now)
            last = max((call.answered for call in self._own(recent)), default=busy)
            if now - last >= _QUIET_SECONDS:
                return last
            assert time.monotonic() < deadline, f"{self._contestant.name} still calls after {_REST_SECONDS:.0f} s"

    def _namespaces(self) -> list[str]:
        core: Any = client.CoreV1Api(self._client)
        names = [f"{self._contestant.name}-{index}" for index in range(_NAMESPACES)]
        for name in names:
            core.create_namespace({"metadata": {"name": name}})
        return names

    def _run(self, names: Iterable[Name], active: int) -> PodEnder:
        """Keep so many jobs active until all have ended as they should."""
        expected = sum(node.pods for node in self._graph.values())
        without_pods: queue.SimpleQueue[Name] = queue.SimpleQueue()

        def tell(job: Name, ended: int) -> None:
            if ended == expected:
                without_pods.put(job)

        waiting, running = deque(names), set[Name]()
        ending = set[Name]()
        with PodEnder(self._client, self._contestant.pods, self._contestant.read, tell) as ender:
            deadline = time.monotonic() + _JOB_SECONDS
            while waiting or running:
                while waiting and len(running) < active:
                    running.add(self._create(waiting.popleft()))
                while not without_pods.empty():
                    ending.add(without_pods.get())
                done = {job for job in ending if self._has_ended(job)}
                ending -= done
                running -= done
                if done:
                    deadline = time.monotonic() + _JOB_SECONDS
                assert not ender.failures, ender.failures[0]
                assert time.monotonic() < deadline, f"none of {len(running)} jobs ended within {_JOB_SECONDS:.0f} s"
                time.sleep(_LOOK_SECONDS)
        too_many = {job: count for job, count in ender.ended.items() if count != expected}
        assert not too_many, f"jobs with other than {expected} pods: {too_many}"
        return ender

    def _create(self, job: Name) -> Name:
        group, version, plural = self._contestant.collection
        made = self._contestant.job(job[1])
        self._objects.create_namespaced_custom_object(group, version, job[0], plural, made)
        return job

    def _has_ended(self, job: Name) -> bool:
        group, version, plural = self._contestant.collection
        found = self._objects.get_namespaced_custom_object(group, version, job[0], plural, job[1])
        phase = found.get("status", {}).get("phase")
        assert phase not in ("Failed", "Error"), f"{job}: {phase}, {found['status'].get('message')}"
        return bool(phase == self._contestant.good_end)

    def _cpu(self) -> dict[str, float]:
        pids = {"controller": self._pid, **{name: self._testbed.pid(name) for name in _CLUSTER}}
        return {name: processes.cpu_seconds(pid) for name, pid in pids.items() if pid is not None}

    def _calls(self, span: Span) -> list[Call]:
        return list(calls(events(self._testbed.audit_log), span.since, span.until))

    def _own(self, made: Iterable[Call]) -> list[Call]:
        return [call for call in made if call.agent.startswith(self._contestant.agents)]

    def _of_audit(self, span: Span, ender: PodEnder, jobs: int) -> dict[str, Any]:
        made = self._calls(span)
        own = self._own(made)
        seconds = hand_offs(self._graph, self._stages(made, ender))
        return {
            "handOff": spread(seconds.child),
            "handOffToPod": spread(seconds.pod),
            "createdToFirstChild": spread(seconds.first),
            "callsPerJob": round(len(own) / jobs, 2),
            "writesPerJob": writes_per_job(own, jobs),
            "clusterWritesPerJob": writes_per_job((call for call in made if call.agent != AGENT), jobs),
            "refusedCalls": sum(call.code >= 400 for call in own),
        }

    def _stages(self, made: Iterable[Call], ender: PodEnder) -> list[tuple[float, Mapping[str, Stage]]]:
        children = {pod.child for pod in ender.pods.values()}
        begun: dict[Name, float] = {}
        created: dict[Name, float] = {}
        ended: dict[Name, float] = {}
        for call in made:
            if call.code >= 300:
                continue
            if call.agent == AGENT and call.resource == "pods/status":
                ended[call.name] = call.answered
            elif call.agent == AGENT and call.verb == "create":
                begun[call.name] = call.answered
            elif call.verb == "create" and call.name in children and call.resource in ("jobs", "jobsets", "pods"):
                created.setdefault(call.name, call.answered)
        pods_of: dict[Name, dict[str, list[Name]]] = defaultdict(lambda: defaultdict(list))
        for name, pod in ender.pods.items():
            pods_of[pod.job][pod.stage].append(name)
        return [
            (
                begun[job],
                {
                    stage: Stage(
                        created=min(created[ender.pods[name].child] for name in names),
                        seen=min(ender.seen[name] for name in names),
                        ended=max(ended[name] for name in names),
                    )
                    for stage, names in stages.items()
                },
            )
            for job, stages in pods_of.items()
        ]

    def _cold_start(self, empty: float, jobs: int) -> dict[str, Any]:
        """Kill the controller, start it, and wait until it has come to rest."""
        self._processes.kill(self._contestant.name, 9)
        begun = time.time()
        self._start()
        busy = self._wait_for_rest()
        cpu, memory = processes.cpu_seconds(self._pid), processes.memory(self._pid)
        own = self._own(self._calls(Span(begun, time.time())))
        self._say(f"{self._contestant.name}: at rest {busy - begun:.1f} s after its start")
        return {
            "seconds": round(busy - begun, 2),
            "cpuSeconds": round(cpu, 2),
            "reads": sum(not call.is_write for call in own),
            "writes": sum(call.is_write for call in own),
            **memory,
            "per1000JobsMB": round((memory["residentMB"] - empty) / jobs * 1000, 1),
        }
