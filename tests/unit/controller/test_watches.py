"""Watches go on after whatever ends one of them."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import kopf
import pytest
from aiohttp import test_utils, web
from kopf._cogs.clients import auth, watching
from kopf._cogs.structs import credentials, references

from distillation_operator.controller import watches
from distillation_operator.controller.watches import Watches, keep_awake
from support.fleet import stop
from support.virtual_time import now, run

THINGS = references.Resource("example.org", "v1", "things", namespaced=True)
NAMESPACE = references.NamespaceName("ns")
SCALE = 0.02
"""Of all times: what takes seconds is a matter of the limits, not of these tests."""
MOMENT = 0.05


@pytest.fixture
def uncollected() -> Iterator[None]:
    """What is in a circle stays in memory, as it may for minutes."""
    gc.disable()
    yield
    gc.enable()


class Server:
    """Watches of one thing: the first is reset in a line, the second is answered 410, the others go on."""

    def __init__(self) -> None:
        self.watches = 0
        self.version = 1

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            listed = {"kind": "ThingList", "metadata": {"resourceVersion": str(self.version)}, "items": []}
            return web.json_response(listed)
        self.watches += 1
        number = self.watches
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(self._line("MODIFIED"))
        if number == 1:
            await response.write(self._line("MODIFIED")[:20])
            assert request.transport is not None
            request.transport.close()
        elif number == 2:
            await response.write(
                json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410}}).encode() + b"\n"
            )
        while number > 1:
            await asyncio.sleep(MOMENT)
            await response.write(self._line("MODIFIED"))
        return response

    def _line(self, kind: str) -> bytes:
        self.version += 1
        metadata = {"name": "thing", "namespace": "ns", "uid": "uid", "resourceVersion": str(self.version)}
        return json.dumps({"type": kind, "object": {"metadata": metadata}}).encode() + b"\n"


@asynccontextmanager
async def served(server: Server) -> AsyncIterator[None]:
    """What is watched from here on is watched there."""
    app, vault = web.Application(), credentials.Vault()
    app.router.add_route("*", "/{path:.*}", server.answer)
    async with test_utils.TestServer(app) as serving, aiohttp.ClientSession() as session:
        auth.vault_var.set(vault)
        url = str(serving.make_url("/"))
        await vault.populate({"test": kopf.AiohttpSession(server=url, aiohttp_session=session)})
        yield


@pytest.mark.usefixtures("uncollected")
def test_a_watch_that_was_reset_and_then_answered_410_is_not_cancelled_later() -> None:
    """Case 69: the error of the first keeps the second in memory, with what limits its silence."""
    settings = kopf.OperatorSettings()
    keep_awake(settings)
    for name in ("inactivity_timeout", "server_timeout", "client_timeout", "reconnect_backoff"):
        seconds = getattr(settings.watching, name)
        setattr(settings.watching, name, seconds * SCALE)

    async def scenario() -> int:
        server = Server()
        async with served(server):
            watched = watching.infinite_watch(settings=settings, resource=THINGS, namespace=NAMESPACE)
            async for _ in watched:
                # More than all limits after the second has ended.
                if server.watches >= 6:
                    return server.watches
                # The reset has come when the next line is asked for.
                await asyncio.sleep(MOMENT)
        return 0

    assert asyncio.run(scenario()) >= 6


def test_a_watch_that_ends_by_itself_is_begun_again() -> None:
    """kopf says nothing of one that was cancelled, and begins none in its place."""

    class Kopf(Watches):
        begun = 0

        async def _spawn(self, stop: asyncio.Event) -> Collection[asyncio.Task[Any]]:
            Kopf.begun += 1
            self.watcher = asyncio.create_task(asyncio.Event().wait(), name="watcher for things@ns")
            return [asyncio.create_task(asyncio.Event().wait(), name="orchestrator")]

    async def scenario() -> tuple[int, int, float]:
        over = asyncio.Event()
        kept = Kopf(kopf.OperatorRegistry, unasked, [], [], unmissed)
        watching = asyncio.create_task(kept.run(over))
        await asyncio.sleep(3600)
        before, since = Kopf.begun, now()
        kept.watcher.cancel()
        while Kopf.begun == before:
            await asyncio.sleep(0.1)
        seconds = now() - since
        over.set()
        await stop(watching)
        return before, Kopf.begun, seconds

    before, after, seconds = run(scenario())
    assert (before, after) == (1, 2)
    assert seconds < 2 * watches.LOOK_SECONDS + 1


@pytest.mark.usefixtures("uncollected")
def test_what_a_cancelled_watch_leaves_open_is_closed_before_the_loop_ends() -> None:
    """Case 70: the loop closes all generators at once, and those that are within another break."""
    errors: list[str] = []

    class Kopf(Watches):
        begun: asyncio.Semaphore

        async def _spawn(self, stop: asyncio.Event) -> Collection[asyncio.Task[Any]]:
            # In what order the loop closes them is chance.
            return [asyncio.create_task(self._watch(), name=f"watcher for things@ns {k}") for k in range(20)]

        async def _watch(self) -> None:
            # kopf's knows its task, and the task its end: a circle.
            watcher = asyncio.current_task()
            assert watcher is not None
            watched = watching.infinite_watch(settings=await unasked(), resource=THINGS, namespace=NAMESPACE)
            async for _ in watched:
                self.begun.release()
                # It is cancelled while it isn't in the generator.
                await asyncio.Event().wait()

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["message"]))
        async with served(Server()):
            kept, over = Kopf(kopf.OperatorRegistry, unasked, [], [], unmissed), asyncio.Event()
            kept.begun = asyncio.Semaphore(0)
            running = asyncio.create_task(kept.run(over))
            for _ in range(20):
                await kept.begun.acquire()
            over.set()
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(scenario())
    assert errors == []


async def unasked() -> kopf.OperatorSettings:
    """Of no interest here."""
    return kopf.OperatorSettings()


async def unmissed() -> bool:
    """Of no interest here."""
    return True
