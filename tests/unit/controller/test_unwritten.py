"""For how long a status waits for what follows."""

import asyncio

from distillation_api.status import DistillationJobStatus
from distillation_operator.controller.unwritten import LONGEST_SECONDS, WRITES_PER_SECOND, Unwritten
from support.virtual_time import run

WRITTEN, DECIDED = DistillationJobStatus(phase="Pending"), DistillationJobStatus(phase="Running")


def waits(jobs: int, seconds: float = 1.0) -> list[float]:
    """The seconds that each may wait, of so many jobs in a row."""

    async def scenario() -> list[float]:
        unwritten = Unwritten(seconds)
        raw = {"metadata": {"uid": "uid"}}
        given = [unwritten.put_off(("ns", f"job-{number}"), raw, WRITTEN, DECIDED) for number in range(jobs)]
        await asyncio.sleep(1.0)
        left = unwritten.put_off(("ns", "job-0"), raw, WRITTEN, DECIDED)
        assert left is None or given[0] is None or left < given[0], "nothing that comes makes one wait longer"
        return [wait or 0.0 for wait in given]

    return run(scenario())


def test_where_few_statuses_wait_each_is_written_soon() -> None:
    assert waits(20) == [1.0] * 20


def test_the_more_statuses_wait_the_longer_so_that_more_is_written_with_each() -> None:
    given = waits(100)
    assert given[-1] == 99 / WRITES_PER_SECOND > 1.0


def test_no_status_waits_for_long() -> None:
    assert max(waits(10_000)) == LONGEST_SECONDS


def test_without_patience_none_waits() -> None:
    assert waits(100, 0.0) == [0.0] * 100
