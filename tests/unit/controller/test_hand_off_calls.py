"""What the operator asks of the API server from the end of a stage's pods to the next stage's child, and after it."""

import asyncio
import json

from distillation_operator.controller.queue import Key
from support.api_server import UNREACHABLE
from support.fleet import Fleet, acting
from support.virtual_time import now

WRITES = ("create", "update", "delete")


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
