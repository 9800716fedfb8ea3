"""What the liveness probe is told: a process that can't work any more has to be replaced."""

import asyncio

import pytest

from distillation_operator.controller import process as app
from distillation_operator.controller.settings import ControllerSettings

KEY = ("ml", "job")


async def sleep_for_ever() -> None:
    await asyncio.Event().wait()


def test_a_replica_that_waits_for_the_lease_is_alive() -> None:
    async def scenario() -> str | None:
        operator = app._Operator(ControllerSettings())
        await operator._queue.add(KEY)
        return await operator._alive()

    assert asyncio.run(scenario()) is None


def test_a_worker_that_has_ended_is_told() -> None:
    async def scenario() -> tuple[str | None, str | None]:
        operator = app._Operator(ControllerSettings())
        worker = asyncio.create_task(sleep_for_ever())
        operator._workers = [worker]
        before = await operator._alive()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        return before, await operator._alive()

    assert asyncio.run(scenario()) == (None, "a worker has ended")


def test_a_queue_from_which_nothing_is_taken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> tuple[str | None, str | None]:
        operator = app._Operator(ControllerSettings())
        operator._workers = [asyncio.create_task(sleep_for_ever())]
        await operator._queue.add(KEY)
        before = await operator._alive()
        monkeypatch.setattr(app, "STUCK_SECONDS", -1.0)
        return before, await operator._alive()

    before, after = asyncio.run(scenario())
    assert before is None
    assert after is not None and after.startswith("no job was taken from the queue for")


def test_an_empty_queue_is_never_stuck() -> None:
    async def scenario() -> float:
        operator = app._Operator(ControllerSettings())
        await operator._queue.add(KEY)
        await operator._queue.take()
        return operator._queue.seconds_stuck()

    assert asyncio.run(scenario()) == 0.0
