"""What a replica does first that begins to act, beside thousands of children of others' jobs."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from distillation_operator.controller import process
from distillation_operator.controller.kube import Listed
from distillation_operator.manifests.labels import SELECTOR
from support.fleet import Fleet, stop
from support.virtual_time import now, run

LONG = 60.0
"""Seconds that the list of all children takes."""


def taken_over(jobs: int) -> tuple[float, int]:
    """Seconds until the first child of all jobs is made, and how many lists of single jobs were asked for by then."""

    async def scenario() -> tuple[float, int]:
        fleet = Fleet()
        pages = fleet.server.list_pages

        async def list_pages(kind: str, namespace: str | None, selector: str = SELECTOR) -> AsyncIterator[Listed]:
            await asyncio.sleep(LONG)
            async for page in pages(kind, namespace, selector):
                yield page

        fleet.server.list_pages = list_pages  # type: ignore[method-assign]
        for number in range(jobs):
            await fleet.add_job(f"job-{number}")
        begun = now()
        acts = asyncio.create_task(fleet.operator._act())
        while not fleet.made:
            await asyncio.sleep(0.1)
        seconds = min(fleet.made.values()) - begun
        listed = sum(call in (("list", kind) for kind in ("Job", "JobSet", "Pod")) for call in fleet.server.asked)
        await stop(acts)
        return seconds, listed

    return run(scenario())


@pytest.mark.parametrize("jobs", [1, process.FEW_JOBS])
def test_few_jobs_go_on_before_all_children_are_listed(jobs: int) -> None:
    seconds, listed = taken_over(jobs)
    assert seconds < 5
    assert listed


def test_many_jobs_wait_for_the_list_of_all() -> None:
    seconds, listed = taken_over(process.FEW_JOBS + 1)
    assert seconds > LONG
    assert listed == 0


def test_what_is_listed_later_is_known_to_the_watches() -> None:
    async def scenario() -> list[tuple[str, str]]:
        fleet = Fleet()
        await fleet.add_job("job")
        acts = asyncio.create_task(fleet.operator._act())
        await asyncio.sleep(LONG)
        fleet.server.asked.clear()
        later = await fleet.add_job("later")
        while not fleet.server.children(later):
            await asyncio.sleep(0.1)
        await stop(acts)
        return fleet.server.asked

    assert [name for verb, name in run(scenario()) if verb == "list"] == []
