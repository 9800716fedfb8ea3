"""What people like to read holds up no decision: neither its own job's nor another's."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from distillation_api.contract import Progress
from distillation_operator.controller import side_calls
from distillation_operator.controller.kube import ApiError
from distillation_operator.controller.progress import ProgressReader
from distillation_operator.controller.queue import MOMENT, Key
from distillation_operator.controller.side_calls import SideCall, SideCalls
from distillation_operator.manifests.labels import child_labels
from distillation_operator.pipeline.observed import Pod
from support.api_server import UNREACHABLE, Server
from support.controller import unheard
from support.fleet import Fleet, stop
from support.virtual_time import now, run

STAGES = ("fetch-teacher", "fetch-student", "prepare-dataset")
HEALTHY = 10


# The seam


def calls_of(key: Key, count: int, make: Callable[[], Awaitable[None]], node: str | None = None) -> list[SideCall]:
    return [SideCall((key, number), key, make, node) for number in range(count)]


class Reader:
    """A reader whose calls hang, or are answered at once, and what was begun when."""

    def __init__(self, hangs: bool = True, error: ApiError | None = None) -> None:
        self.hangs = hangs
        self.error = error
        self.begun: list[float] = []
        self.at_once = 0
        self.most = 0

    async def __call__(self) -> None:
        self.begun.append(now())
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            if self.error is not None:
                raise self.error
            await (asyncio.Event().wait() if self.hangs else asyncio.sleep(0.01))
        finally:
            self.at_once -= 1


def test_a_job_whose_calls_hang_leaves_places_for_the_others() -> None:
    async def scenario() -> tuple[Reader, Reader, Reader]:
        calls, bad, neighbour, other = SideCalls(), Reader(), Reader(hangs=False), Reader(hangs=False)
        for call in calls_of(("ml", "bad"), 256, bad):
            calls.ask(call)
        for call in calls_of(("ml", "neighbour"), 8, neighbour):
            calls.ask(call)
        for call in calls_of(("else", "other"), 8, other):
            calls.ask(call)
        await asyncio.sleep(1)
        await calls.close()
        return bad, neighbour, other

    bad, neighbour, other = run(scenario())
    assert bad.most == side_calls.AT_ONCE_PER_JOB
    assert len(neighbour.begun) == len(other.begun) == 8
    assert max(neighbour.begun + other.begun) < 0.1


def test_a_namespace_whose_calls_hang_leaves_places_for_the_others() -> None:
    async def scenario() -> tuple[Reader, Reader]:
        calls, bad, other = SideCalls(), Reader(), Reader(hangs=False)
        for job in range(50):
            for call in calls_of(("bad", f"job-{job}"), 20, bad):
                calls.ask(call)
        for call in calls_of(("else", "other"), 8, other):
            calls.ask(call)
        await asyncio.sleep(1)
        await calls.close()
        return bad, other

    bad, other = run(scenario())
    assert bad.most == side_calls.AT_ONCE_PER_NAMESPACE
    assert len(other.begun) == 8 and max(other.begun) < 0.1


def test_at_the_end_what_needs_no_kubelet_is_still_made_and_nothing_is_waited_for_in_vain() -> None:
    """An Event is told once or never."""

    async def scenario() -> tuple[Reader, Reader, list[float]]:
        seconds = list[float]()
        for hanging in (Reader(hangs=False), Reader()):
            calls, events = SideCalls(), hanging
            logs = Reader()
            for call in calls_of(("ml", "job"), 12, logs, "node"):
                calls.ask(call)
            for call in calls_of(("ml", "other"), 12, events):
                calls.ask(call)
            begun = now()
            await calls.close()
            seconds.append(now() - begun)
            if not hanging.hangs:
                made = events
        return made, logs, seconds

    events, logs, (of_answered, of_hanging) = run(scenario())
    assert len(events.begun) == 12 and len(logs.begun) <= side_calls.AT_ONCE_PER_JOB
    assert of_answered < 0.1
    assert of_hanging == pytest.approx(side_calls.ENDING_SECONDS, abs=0.1)


def test_the_jobs_of_a_namespace_take_turns() -> None:
    async def scenario() -> list[str]:
        calls, order = SideCalls(), list[str]()

        def noting(name: str) -> Callable[[], Awaitable[None]]:
            async def make() -> None:
                order.append(name)
                await asyncio.sleep(0.01)

            return make

        for job in ("a", "b", "c"):
            for call in calls_of(("ml", job), 20, noting(job)):
                calls.ask(call)
        await asyncio.sleep(1)
        return order

    order = run(scenario())
    assert [order.count(job) for job in "abc"] == [20, 20, 20]
    assert set(order[:12]) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("reader", "is_silent"),
    [
        (Reader(), True),
        (Reader(error=ApiError(500, "", "Get https://10.0.0.7:10250/containerLogs: dial tcp: i/o timeout")), True),
        (Reader(error=ApiError(0, "Unreachable", "")), True),
        (Reader(error=ApiError(400, "BadRequest", "container is waiting to start")), False),
        (Reader(error=ApiError(404, "NotFound", "pods not found")), False),
        (Reader(hangs=False), False),
    ],
)
def test_a_node_that_does_not_answer_is_left_alone_for_a_while(reader: Reader, is_silent: bool) -> None:
    async def scenario() -> None:
        calls = SideCalls()
        for _ in range(600):
            calls.ask(SideCall("log", ("ml", "job"), reader, "node"))
            await asyncio.sleep(1)
        await calls.close()

    reader.begun.clear()
    run(scenario())
    assert len(reader.begun) < 10 if is_silent else len(reader.begun) == 600


def test_a_node_that_answers_again_is_asked_as_before() -> None:
    async def scenario() -> Reader:
        calls, reader = SideCalls(), Reader()
        for second in range(120):
            reader.hangs = second < 5
            calls.ask(SideCall("log", ("ml", "job"), reader, "node"))
            await asyncio.sleep(1)
        return reader

    begun = run(scenario()).begun
    assert len([when for when in begun if when < 10]) <= 2
    assert len([when for when in begun if when >= 20]) == 100


def test_other_nodes_are_asked_meanwhile() -> None:
    async def scenario() -> Reader:
        calls, reader = SideCalls(), Reader(hangs=False)
        for _ in range(60):
            calls.ask(SideCall("silent", ("ml", "job"), Reader(), "silent"))
            calls.ask(SideCall("well", ("ml", "job"), reader, "well"))
            await asyncio.sleep(1)
        return reader

    assert len(run(scenario()).begun) == 60


def test_an_event_does_not_wait_behind_the_logs_of_its_job() -> None:
    async def scenario() -> Reader:
        calls, event = SideCalls(), Reader(hangs=False)
        for number in range(256):
            calls.ask(SideCall(number, ("ml", "job"), Reader(), f"node-{number}"))
        calls.ask(SideCall("event", ("ml", "job"), event))
        await asyncio.sleep(10)
        await calls.close()
        return event

    (begun,) = run(scenario()).begun
    assert begun <= side_calls.SECONDS


def test_what_waits_is_bounded_and_asked_for_once() -> None:
    async def scenario() -> list[str]:
        results = list[str]()
        calls, reader = SideCalls(results.append), Reader()
        for _ in range(2):
            for call in calls_of(("ml", "job"), 10_000, reader):
                calls.ask(call)
        await calls.close()
        return results

    assert run(scenario()).count("skipped") > 18_000


def test_an_error_of_ours_in_a_side_call_takes_no_place_away() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    async def scenario() -> tuple[list[str], Reader]:
        results = list[str]()
        calls, reader = SideCalls(results.append), Reader(hangs=False)
        for call in calls_of(("ml", "job"), 100, broken):
            calls.ask(call)
        calls.ask(SideCall("well", ("ml", "job"), reader))
        await asyncio.sleep(1)
        return results, reader

    results, reader = run(scenario())
    assert results.count("failed") == 100
    assert len(reader.begun) == 1


# All of the controller


async def seconds_to_the_next_stage(unreachable: int) -> list[float]:
    """Of healthy jobs whose first stages end one after the other, while one job's pods are out of reach."""
    fleet = Fleet()
    acting = asyncio.create_task(fleet.operator._act())
    bad = await fleet.add_job("bad")
    jobs = [await fleet.add_job(f"job{number}") for number in range(HEALTHY)]
    await asyncio.sleep(5)
    fleet.run_pods(bad, STAGES[0], unreachable, UNREACHABLE)
    for key in jobs:
        for stage in STAGES:
            fleet.run_pods(key, stage, 1)
    await asyncio.sleep(20)
    assert (fleet.server.hanging > 0) == (unreachable > 0)
    took = []
    for key in jobs:
        for stage in STAGES:
            fleet.end(key, stage)
        begun = now()
        await asyncio.sleep(1)
        took.append(fleet.made[key, "preflight"] - begun)
    assert await fleet.operator._alive() is None
    await stop(acting)
    await fleet.operator._side_calls.close()
    return took


def test_pods_out_of_reach_cost_the_other_jobs_no_time() -> None:
    alone, beside = run(seconds_to_the_next_stage(0)), run(seconds_to_the_next_stage(256))
    assert max(alone) < 0.5
    assert max(beside) <= max(alone) + 0.02


def test_pods_out_of_reach_cost_their_own_job_no_time() -> None:
    async def scenario() -> float:
        fleet = Fleet()
        acting = asyncio.create_task(fleet.operator._act())
        key = await fleet.add_job("bad")
        await asyncio.sleep(5)
        fleet.run_pods(key, STAGES[0], 256, UNREACHABLE)
        await asyncio.sleep(20)
        for stage in STAGES:
            fleet.end(key, stage)
        begun = now()
        await asyncio.sleep(3)
        await stop(acting)
        return fleet.made[key, "preflight"] - begun

    assert run(scenario()) < 0.5


def progress(done: int) -> str:
    line = {"type": "progress", "stage": "s", "done": done, "total": 10, "unit": "rows"}
    return json.dumps(line) + "\n"


def test_progress_and_events_are_told_as_they_come() -> None:
    async def scenario() -> tuple[dict[str, Any], list[str]]:
        fleet = Fleet()
        acting = asyncio.create_task(fleet.operator._act())
        key = await fleet.add_job("job")
        await asyncio.sleep(1)
        fleet.run_pods(key, "fetch-teacher", 1)
        fleet.run_pods(key, "fetch-student", 1)
        fleet.server.logs["job-fetch-teacher-0-0-abcde"] = progress(3)
        fleet.end(key, "fetch-student")
        await asyncio.sleep(45)
        await stop(acting)
        stages = {stage["name"]: stage for stage in fleet.server.jobs[key]["status"]["stages"]}
        return stages["fetch-teacher"], [event["message"] for event in fleet.server.events]

    stage, events = run(scenario())
    assert stage["progress"] == {"done": 3, "total": 10, "unit": "rows"}
    assert any(message.startswith("fetch-student is complete.") for message in events)


def reader_of(log: str) -> tuple[ProgressReader, Pod, Key]:
    """A reader, and a pod that has written that log."""
    pod = Pod(name="job-generate-0-3-abcde", child="job-generate-0", index=3, running=True, owner="uid-1")
    server = Server()
    server.add("Pod", {"metadata": {"namespace": "ml", "name": pod.name, "labels": {}}, "spec": {"nodeName": "node"}})
    server.logs[pod.name] = log
    return ProgressReader(server, SideCalls(), unheard), pod, ("ml", "job")


def test_the_progress_of_a_pod_that_is_gone_is_kept_as_long_as_its_job() -> None:
    """Another one of the same name, as of a DistillationJob that was made anew, has none of it."""

    async def scenario() -> tuple[dict[tuple[str, int], Progress], ...]:
        reader, pod, key = reader_of(progress(3))
        reader.known(key, [pod])
        await asyncio.sleep(1)
        assert reader.known(key, []) == {}
        kept, dropped = reader.last(key, [pod.owner, "other"]), reader.last(key, ["uid-2"])
        return kept, dropped, reader.last(key, [pod.owner])

    kept, dropped, after = run(scenario())
    assert {place: line.done for place, line in kept.items()} == {("uid-1", 3): 3}
    assert (dropped, after) == ({}, {})


def test_a_log_that_arrives_after_its_job_was_forgotten_is_dropped() -> None:
    async def scenario() -> tuple[Any, ...]:
        reader, pod, key = reader_of(progress(3))
        reader.known(key, [pod])
        reader.forget(key)
        await asyncio.sleep(1)
        return reader.last(key, [pod.owner]), reader.known(key, [pod])

    assert run(scenario()) == ({}, {})


def test_what_a_queue_says_is_told_as_soon_as_it_is_read() -> None:
    async def scenario() -> Any:
        fleet = Fleet()
        acting = asyncio.create_task(fleet.operator._act())
        key = await fleet.add_job("job")
        await asyncio.sleep(1)
        child = fleet.child(key, "fetch-teacher")
        said = {"type": "QuotaReserved", "status": "False", "message": "insufficient quota"}
        fleet.server.workloads = [{"status": {"conditions": [said]}}]
        labels = {**child["metadata"]["labels"], "kueue.x-k8s.io/queue-name": "q"}
        metadata = {**child["metadata"], "labels": labels}
        fleet.server.add("Job", {**child, "metadata": metadata, "spec": {"suspend": True}})
        await asyncio.sleep(1 + MOMENT)
        await stop(acting)
        stages = {stage["name"]: stage for stage in fleet.server.jobs[key]["status"]["stages"]}
        return stages["fetch-teacher"]

    stage = run(scenario())
    assert (stage["state"], stage["message"]) == ("Queued", "insufficient quota")


@pytest.mark.parametrize("priority", ["urgent", None])
def test_what_kueue_has_made_no_workload_of_is_told_with_what_may_be_missing(priority: str | None) -> None:
    """A priority class that doesn't exist: Kueue says it in its own log and nowhere else."""

    async def scenario() -> Any:
        fleet = Fleet()
        acting = asyncio.create_task(fleet.operator._act())
        key = await fleet.add_job("job")
        await asyncio.sleep(1)
        child = fleet.child(key, "fetch-teacher")
        labels = {**child["metadata"]["labels"], "kueue.x-k8s.io/queue-name": "q"}
        if priority is not None:
            labels["kueue.x-k8s.io/priority-class"] = priority
        metadata = {**child["metadata"], "labels": labels}
        fleet.server.add("Job", {**child, "metadata": metadata, "spec": {"suspend": True}})
        told = []
        for seconds in (1, 19):
            await asyncio.sleep(seconds)
            stages = {stage["name"]: stage for stage in fleet.server.jobs[key]["status"]["stages"]}
            told.append(stages["fetch-teacher"])
        await stop(acting)
        return told

    at_first, later = run(scenario())
    assert (at_first["state"], at_first["message"]) == ("Queued", "Held by its queue.")
    assert (later["state"], later["reason"]) == ("Queued", "WaitsForQuota")
    assert later["message"].startswith("Kueue has made no Workload of it")
    assert ("no WorkloadPriorityClass 'urgent' (queue.priorityClass)" in later["message"]) == (priority is not None)
    assert "pod.priorityClassName" in later["message"]


def test_what_is_not_ours_is_no_work() -> None:
    async def scenario() -> tuple[int, list[tuple[str, str]]]:
        fleet = Fleet()
        acting = asyncio.create_task(fleet.operator._act())
        await fleet.add_job("job")
        await asyncio.sleep(3)
        fleet.server.asked.clear()
        size = len(fleet.operator._cache)
        labels = child_labels("job", "fetch-teacher", 99, "job-fetch-teacher-99")
        for number in range(1000):
            metadata = {"name": f"stranger-{number}", "namespace": "ml", "labels": labels}
            fleet.server.add("Job", {"metadata": metadata, "spec": {"suspend": True}})
        await asyncio.sleep(2)
        await stop(acting)
        return len(fleet.operator._cache) - size, fleet.server.asked

    assert run(scenario()) == (0, [])


def test_of_pods_that_work_as_one_only_the_one_that_reports_is_read() -> None:
    async def scenario() -> set[str]:
        fleet = Fleet()
        key = await fleet.add_job("job")
        labels = child_labels("job", "train-one", 0, "job-train-one-0")
        metadata = {"name": "job-train-one-0", "namespace": "ml", "labels": labels}
        owner = [{"uid": fleet.server.jobs[key]["metadata"]["uid"], "controller": True}]
        jobset = fleet.server.add("JobSet", {"metadata": {**metadata, "ownerReferences": owner}, "spec": {}})
        for number in range(16):
            fleet.server.add_pod(jobset, number)
        acting = asyncio.create_task(fleet.operator._act())
        await asyncio.sleep(10)
        await stop(acting)
        return {name for verb, name in fleet.server.asked if verb == "log"}

    assert run(scenario()) == {"job-train-one-0-0-abcde"}
