"""One tenant floods its namespace with what bears our labels, while jobs of another namespace run.

A cluster is slower when much is written, whatever it is. So jobs in the flood are compared, in turns, with jobs beside
one without our labels.

``FLOOD``: how many Jobs; ``make flood`` takes 2,000. Only there is asserted how much slower the others' jobs are: in
``make test`` they take as long as the tests beside them leave of the processors.
"""

import itertools
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kubernetes import client

from distillation_api.contract import StageResult
from support.eventually import eventually
from support.objects import Jobs
from support.operating import Operator, Pods, ended_status, raw_stage_spec
from support.small_job import FIRST, NAME, batch_of, manifest, named
from testbed.cluster import Testbed

JOBS = int(os.environ.get("FLOOD", "200"))
PODS = max(20, JOBS // 20)
RUNNING = max(4, JOBS // 100)
"""Jobs that run at once in the other namespace."""
ANNOTATION = "x" * 200_000
"""The API server takes 256 KiB in all."""
ATTEMPTS = ("0", "1", "7", "9999", "2000000", "99999999999", "9" * 63)
TIMED = "FLOOD" in os.environ
TURNS = 10 if TIMED else 3
"""Of each."""
SLOWER = 1.1
SHARE = 0.1
"""Of a processor, that the operator may need for the flood."""
POLL = 0.02
MEMORY = 20 * 2**20
AT_START = (64 if JOBS <= 200 else 128) * 2**20
"""More than it had before the flood when it starts in it: a page of a list, and what kopf holds for the tenth of a
second that it waits for more of each. All of 200 Jobs are twice that, and of 2,000 they were 430 MiB."""


@pytest.fixture
def tenant(api_client: client.ApiClient) -> Iterator[str]:
    """The namespace of who floods."""
    core: Any = client.CoreV1Api(api_client)
    name = f"flood-{uuid4().hex[:6]}"
    core.create_namespace({"metadata": {"name": name}})
    yield name
    core.delete_namespace(name)


@pytest.fixture
def of_both(testbed: Testbed, namespace: str, tenant: str, tmp_path: Path) -> Iterator[Operator]:
    """The operator of both namespaces."""
    made = Operator(testbed.kubeconfig, namespace, tmp_path / "operator.log", "--namespace", tenant)
    made.start()
    yield made
    made.end()
    errors = [line for line in made.log() if line["level"] == "ERROR" and line["logger"].startswith("distillation")]
    assert not errors, errors


class Flood:
    """What a tenant writes into its own namespace: suspended Jobs of big annotations, with our labels or without."""

    def __init__(self, api_client: client.ApiClient, jobs: Jobs, labelled: bool) -> None:
        self._batch = batch_of(api_client)
        self._core: Any = client.CoreV1Api(api_client)
        self._jobs = jobs
        self._labelled = labelled
        self._name = "foreign" if labelled else "plain"
        for index in range(JOBS):
            self._batch.create_namespaced_job(jobs.namespace, self._job(index))

    def forge(self, asked: dict[str, Any]) -> None:
        """Pods that tell the result of a stage that runs."""
        said = StageResult(stage=asked["stage"], fingerprint=asked["fingerprint"], outputs={"model": "evil"})
        for index in range(PODS):
            name = f"forged-{index}"
            self._core.create_namespaced_pod(self._jobs.namespace, self._pod(name, asked["stage"]))
            status = {"status": ended_status(0, said.model_dump_json(by_alias=True))}
            self._core.patch_namespaced_pod_status(name, self._jobs.namespace, status)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """It is changed all the time."""
        stop = threading.Event()

        def change() -> None:
            turn = 0
            while not stop.wait(0.1):
                turn += 1
                labels = {"distillation.dev/attempt" if self._labelled else "note": ATTEMPTS[turn % len(ATTEMPTS)]}
                body = {"metadata": {"labels": labels}}
                self._batch.patch_namespaced_job(f"{self._name}-{turn % JOBS}", self._jobs.namespace, body)
                if self._labelled and turn % 5 == 0:
                    self._jobs.annotate(NAME, {"distillation.dev/retry": f"generate/{turn}\x01" + "y" * 300})

        thread = threading.Thread(target=change, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _job(self, index: int) -> dict[str, Any]:
        labels = _labels(("fetch-teacher", "generate", f"stage-{index}")[index % 3], ATTEMPTS[index % len(ATTEMPTS)])
        metadata = {
            "name": f"{self._name}-{index}",
            "labels": labels if self._labelled else {},
            "annotations": {"note": ANNOTATION},
        }
        container = {"name": "stage", "image": "i"}
        template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        return {"metadata": metadata, "spec": {"suspend": True, "template": template}}

    def _pod(self, name: str, stage: str) -> dict[str, Any]:
        metadata = {"name": name, "labels": _labels(stage, "0"), "annotations": {"note": ANNOTATION}}
        return {"metadata": metadata, "spec": {"containers": [{"name": "stage", "image": "i"}]}}


def _labels(stage: str, attempt: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "distillation-operator",
        "distillation.dev/job": NAME,
        "distillation.dev/stage": stage,
        "distillation.dev/attempt": attempt,
        "distillation.dev/child": f"{NAME}-{stage}-0",
    }


@pytest.mark.timeout(600 + 3 * JOBS)
def test_a_flood_in_one_namespace_slows_no_other_and_changes_no_result(
    api_client: client.ApiClient, jobs: Jobs, pods: Pods, tenant: str, of_both: Operator
) -> None:
    flooded = Jobs(client.CustomObjectsApi(api_client), tenant)
    in_flood = Pods(api_client, tenant)
    flooded.create(manifest())
    (running,) = in_flood.wait("fetch-teacher")
    race = Race(api_client, jobs, pods)
    race.seconds()
    memory = of_both.memory()
    plain = Flood(api_client, flooded, labelled=False)
    flood = Flood(api_client, flooded, labelled=True)
    flood.forge(raw_stage_spec(running))
    beside, during = Turns(), Turns()
    for _ in range(TURNS):
        with plain.going_on():
            beside.add(race.seconds, of_both)
        with flood.going_on():
            during.add(race.seconds, of_both)
    grown = of_both.memory() - memory
    told = f"in the flood {during}; beside a plain one {beside}; {grown / 2**20:.1f} MiB more"
    print(told)
    assert not TIMED or during.middle <= SLOWER * beside.middle, told
    assert during.share - beside.share < SHARE, told
    assert grown < MEMORY, told

    status = flooded.get(NAME)["status"]
    stages = {stage["name"]: stage for stage in status["stages"]}
    assert {name for name, stage in stages.items() if stage["state"] == "Complete"} == set()
    assert {stage["attempt"] for stage in stages.values()} == {0}
    of_both.end()
    of_both.start()
    race.seconds()
    anew = of_both.memory() - memory
    print(f"started anew in the flood: {anew / 2**20:.1f} MiB more")
    assert anew < AT_START
    in_flood.end(running, outputs={"model": "right"})

    def ended() -> dict[str, Any] | None:
        stages = flooded.get(NAME)["status"]["stages"]
        return next((s for s in stages if s["name"] == "fetch-teacher" and s["state"] == "Complete"), None)

    assert eventually("its end", ended)["outputs"] == {"model": "right"}
    flooded.patch(NAME, {"suspend": True})
    eventually("what is the job's own is stopped", lambda: not in_flood.of_stage("fetch-student"))
    selector = "distillation.dev/job"
    left = client.BatchV1Api(api_client).list_namespaced_job(tenant, label_selector=selector).items
    assert len(left) >= JOBS, "what others have made is theirs"


@dataclass
class Turns:
    """How long jobs took, and how much of a processor the operator had meanwhile."""

    seconds: list[float] = field(default_factory=list)
    cpu: float = 0.0
    elapsed: float = 0.0

    def add(self, race: Callable[[], float], operator: Operator) -> None:
        """One more."""
        cpu, begun = operator.cpu_seconds(), time.monotonic()
        self.seconds.append(race())
        self.cpu += operator.cpu_seconds() - cpu
        self.elapsed += time.monotonic() - begun

    @property
    def middle(self) -> float:
        return statistics.median(self.seconds)

    @property
    def share(self) -> float:
        return self.cpu / self.elapsed

    def __str__(self) -> str:
        seconds = " ".join(f"{one:.2f}" for one in sorted(self.seconds))
        return f"{self.middle:.2f} s ({seconds}) with {self.share:.3f} of a processor"


class Race:
    """How long jobs that run at once take for their first stages, pods not counted: the operator's part, and the
    cluster's."""

    def __init__(self, api_client: client.ApiClient, jobs: Jobs, pods: Pods) -> None:
        self._batch: Any = client.BatchV1Api(api_client)
        self._jobs = jobs
        self._pods = pods
        self._turns = itertools.count()

    def seconds(self) -> float:
        """From the jobs' creation to the last one's stages behind the first ones."""
        turn, begun = next(self._turns), time.monotonic()
        names = [f"turn-{turn}-{index}" for index in range(RUNNING)]
        for name in names:
            self._jobs.create(named(manifest(), name))
        for stage in FIRST:
            self._pods.succeed(stage, RUNNING)
        self._until("what follows", lambda: len(self._children("preflight")) == RUNNING)
        took = time.monotonic() - begun
        for name in names:
            self._jobs.delete(name)
        self._until("they are gone", lambda: not self._children())
        begun_stages = (*FIRST, "preflight", "convert-student", "pack-two")
        self._until("their pods are gone", lambda: not any(map(self._pods.of_stage, begun_stages)))
        return took

    def _children(self, stage: str | None = None) -> list[Any]:
        selector = f"distillation.dev/stage={stage}" if stage else "distillation.dev/stage"
        return list(self._batch.list_namespaced_job(self._jobs.namespace, label_selector=selector).items)

    @staticmethod
    def _until(what: str, look: Callable[[], bool]) -> None:
        eventually(what, look, pause=POLL)
