"""What the operator asks of the API server from the end of a stage's pods to the next stage's child, and after it."""

import asyncio

from distillation_operator.controller.queue import Key
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
