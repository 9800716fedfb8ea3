"""What the liveness probe is told: a process that can't work any more has to be replaced."""

import asyncio

from distillation_operator.controller import process as app
from distillation_operator.controller.settings import ControllerSettings
from support.api_server import Server
from support.fleet import stop
from support.scenario import small_spec
from support.virtual_time import run

KEY = ("ml", "job")


async def sleep_for_ever() -> None:
    await asyncio.Event().wait()


def test_a_replica_that_waits_for_the_lease_is_alive() -> None:
    async def scenario() -> str | None:
        operator = app._Operator(ControllerSettings())
        operator._queue.add(KEY)
        return await operator._alive()

    assert asyncio.run(scenario()) is None


def test_a_worker_that_has_ended_is_told() -> None:
    async def scenario() -> tuple[str | None, str | None]:
        operator = app._Operator(ControllerSettings())
        worker = asyncio.create_task(sleep_for_ever())
        operator._workers = [worker]
        before = await operator._alive()
        await stop(worker)
        return before, await operator._alive()

    assert asyncio.run(scenario()) == (None, "a worker has ended")


def test_work_that_waits_for_an_api_server_is_no_reason_to_start_anew() -> None:
    """A restart would bring no answer sooner, and all that is known would have to be listed again."""

    async def scenario() -> str | None:
        operator = app._Operator(ControllerSettings())
        operator._workers = [asyncio.create_task(sleep_for_ever())]
        operator._queue.add(KEY)
        await asyncio.sleep(3600)
        return await operator._alive()

    assert run(scenario()) is None


def test_no_worker_is_lost_to_a_reconcile_that_never_ends() -> None:
    async def scenario() -> bool:
        operator = app._Operator(ControllerSettings())
        server = Server(seconds=float(10**9))
        operator._assemble(server)
        key = server.add_job(small_spec())
        operator._cache.put_job(server.jobs[key])
        work = asyncio.create_task(operator._reconcile(key))
        await asyncio.sleep(app.RECONCILE_SECONDS + 1)
        return work.done() and work.exception() is None

    assert run(scenario())
