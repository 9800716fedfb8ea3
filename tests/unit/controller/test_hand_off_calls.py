"""What the operator asks of the API server from the end of a stage's pods to the next stage's child, and after it."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from distillation_operator.controller import progress
from distillation_operator.controller.pod_events import PodEvents
from distillation_operator.controller.progress import ProgressReader
from distillation_operator.controller.queue import Key
from distillation_operator.controller.side_calls import SideCalls
from distillation_operator.controller.turns import READS_PER_SECOND
from distillation_operator.pipeline.observed import Pod
from support.api_server import UNREACHABLE, Server
from support.controller import unheard
from support.fleet import CREATING, Fleet, acting, stop
from support.virtual_time import now, run

WRITES = ("create", "update", "delete")
JOBS = 600


def test_the_end_of_a_pod_is_one_creation_and_one_write_of_the_status() -> None:
    async def scenario(fleet: Fleet, key: Key) -> tuple[list[tuple[str, str]], float]:
        fleet.server.asked.clear()
        begun = now()
        fleet.end_pods(key, "fetch-student")
        await asyncio.sleep(1)
        return [call for call in fleet.server.asked if call[0] in WRITES], fleet.made[key, "convert-student"] - begun

    writes, seconds = acting(scenario)
    assert writes == [("create", "job-convert-student-0"), ("update", "job")]
    assert seconds < 0.1, "a call takes a hundredth of a second here"


@pytest.mark.parametrize("knows", ["before its lists", "after them"])
def test_a_new_process_hands_over_as_the_old_one_did(knows: str) -> None:
    """Nothing is left of a stage of which neither the status nor any list since its start knows: no list is taken for
    each child that it makes.
    """

    async def scenario() -> tuple[list[tuple[str, str]], float]:
        fleet = Fleet()
        first = asyncio.create_task(fleet.operator._act())
        key = await fleet.add_job("job")
        await asyncio.sleep(5)
        await stop(first)
        fleet.restart()
        if knows == "before its lists":
            await fleet.hear_of_all()
        second = asyncio.create_task(fleet.operator._act())
        await asyncio.sleep(5)
        if knows == "after them":
            await fleet.hear_of_all()
            await asyncio.sleep(5)
        fleet.server.asked.clear()
        begun = now()
        fleet.end_pods(key, "fetch-student")
        await asyncio.sleep(2)
        await stop(second)
        beside = ("list", "events")
        return [call for call in fleet.server.asked if call != beside], fleet.made[key, "convert-student"] - begun

    asked, seconds = run(scenario())
    assert asked == [("create", "job-convert-student-0"), ("update", "job")]
    assert seconds < 0.1


def test_the_jobs_own_end_is_no_call_at_all() -> None:
    async def scenario(fleet: Fleet, key: Key) -> list[tuple[str, str]]:
        fleet.end_pods(key, "fetch-student")
        await asyncio.sleep(1)
        fleet.server.asked.clear()
        fleet.end_child(key, "fetch-student")
        await asyncio.sleep(1)
        return fleet.server.asked

    assert acting(scenario) == []


def test_a_job_that_has_ended_on_its_pods_word_waits_for_the_words_of_its_children() -> None:
    async def scenario(fleet: Fleet, key: Key) -> tuple[list[str], list[bool]]:
        ended: set[str] = set()
        while (fleet.server.jobs[key].get("status") or {}).get("phase") != "Complete":
            made = {child["metadata"]["labels"]["distillation.dev/stage"] for child in fleet.server.children(key)}
            for stage in made - ended:
                fleet.end_pods(key, stage)
            ended |= made
            await asyncio.sleep(1)
        await asyncio.sleep(600)
        rests = [fleet.operator._cache.ended(key) is not None]
        for stage in ended:
            fleet.end_child(key, stage)
        await asyncio.sleep(1)
        return fleet.server.deleted, [*rests, fleet.operator._cache.ended(key) is not None]

    deleted, rests = acting(scenario)
    assert deleted == [], "whoever reads the logs of their pods finds them"
    assert rests == [False, True]


def test_what_proves_the_work_goes_only_after_the_status_that_says_so() -> None:
    """A queue takes the quota back as the pods end: the child would do the work again, and its pods are all the proof
    that there is. They are gone within the call that deletes it.
    """

    async def scenario(fleet: Fleet, key: Key) -> tuple[list[tuple[str, str]], list[str], str]:
        fleet.server.asked.clear()
        fleet.lose_children_at_once()
        child = fleet.child(key, "fetch-student")
        fleet.end_pods(key, "fetch-student")
        fleet.server.add(child["kind"], {**child, "spec": {**child["spec"], "suspend": True}})
        await asyncio.sleep(10)
        writes = [call for call in fleet.server.asked if call[0] in WRITES]
        return writes, fleet.server.deleted, fleet.stage(key, "fetch-student")["state"]

    writes, deleted, state = acting(scenario)
    assert (state, deleted) == ("Complete", ["job-fetch-student-0"])
    assert writes == [("create", "job-convert-student-0"), ("update", "job"), ("delete", "job-fetch-student-0")]


def test_what_was_concluded_from_pods_stands_when_they_go_in_the_same_moment() -> None:
    async def scenario(fleet: Fleet, key: Key) -> tuple[str, list[str]]:
        child = fleet.child(key, "fetch-student")
        fleet.lose_pods_at(("create", "job-convert-student-0"), child)
        fleet.end_pods(key, "fetch-student")
        await asyncio.sleep(10)
        made = [child["metadata"]["name"] for child in fleet.server.children(key)]
        return fleet.stage(key, "fetch-student")["state"], made

    state, made = acting(scenario)
    assert state == "Complete"
    assert made.count("job-fetch-student-0") == 1 and "job-convert-student-0" in made


def test_a_job_that_may_go_on_comes_before_those_that_have_only_something_to_tell() -> None:
    async def scenario(fleet: Fleet, ending: Key) -> tuple[Key, list[Key]]:
        others = [await fleet.add_job(f"other-{number}") for number in range(3)]
        await asyncio.sleep(1)
        for worker in fleet.operator._workers:
            worker.cancel()
        for key in others:
            fleet.run_pods(key, "fetch-student", 1)
        fleet.end_pods(ending, "fetch-student")
        new = await fleet.add_job("new")
        await asyncio.sleep(0)
        return new, [await fleet.operator._queue.take() for _ in range(5)]

    new, order = acting(scenario)
    assert set(order[:2]) == {(new[0], "job"), new}


def test_a_log_is_read_as_often_as_it_is_shown_and_less_where_it_can_not_be_read() -> None:
    async def scenario(fleet: Fleet, key: Key) -> list[int]:
        fleet.run_pods(key, "fetch-student", 1)
        fleet.run_pods(key, "fetch-teacher", 1, node=UNREACHABLE)
        line = {"type": "progress", "stage": "fetch-student", "done": 1, "total": 100, "unit": "bytes"}
        fleet.server.logs["job-fetch-student-0-0-abcde"] = json.dumps(line)
        await asyncio.sleep(600)
        asked = [name for verb, name in fleet.server.asked if verb == "log"]
        return [asked.count(f"job-{stage}-0-0-abcde") for stage in ("fetch-student", "fetch-teacher")]

    readable, unreadable = acting(scenario)
    assert 70 <= readable <= 80
    assert 0 < unreadable <= 45


def test_of_many_jobs_logs_and_events_are_read_at_a_bounded_rate() -> None:
    async def scenario() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        server, calls = Server(seconds=0.01), SideCalls()
        logs, events = ProgressReader(server, calls, unheard), PodEvents(server, calls, unheard)
        keys = [("ml", f"job-{number}") for number in range(JOBS)]
        waiting = {}
        for key in keys:
            made: dict[str, Any] = {"name": key[1], "namespace": "ml", "uid": key[1], "labels": {}}
            server.add_pod({"metadata": made})
            waiting[key] = server.add_pod({"metadata": made}, 1, **CREATING)
        for _ in range(70):
            for key in keys:
                logs.known(key, [Pod(f"{key[1]}-0-abcde", "c", 0, running=True)])
                events.known(key, [waiting[key]])
            await asyncio.sleep(5)
        for key in keys:
            logs.forget(key)
            events.forget(key)
        server.asked, before = [], server.asked
        logs.known(keys[0], [Pod("job-0-0-abcde", "c", 0, running=True)])
        await asyncio.sleep(100)
        logs.forget(keys[0])
        await calls.close()
        return before, server.asked

    asked, alone = run(scenario())
    read = Counter(verb for verb, _ in asked)
    assert read["log"] <= 350 * READS_PER_SECOND + JOBS, "in the first round all are due"
    assert read["list"] <= 350 * READS_PER_SECOND
    assert len(set(asked)) == 3 * JOBS, "each has its turn"
    assert alone.count(("log", "job-0-0-abcde")) > 100 / progress.SECONDS_BETWEEN_LATER_READS, "others are gone"
