"""What calls to the API server do with 429 and with pages that aren't the API server's, over real HTTP."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import test_utils, web

from distillation_operator.controller.api_error import ApiError
from distillation_operator.controller.foreign_pages import refuse_pages
from distillation_operator.controller.patience import LONGEST_SECONDS, Patience, retry_after

Answer = Callable[[int], web.Response]
"""To the call of that number, from 0."""


def asked(answer: Answer, ask: Callable[[aiohttp.ClientSession, str], Awaitable[None]], *middlewares: object) -> int:
    """How many calls the server got while a client with these middlewares asked."""
    calls = 0

    async def serve(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        return answer(calls - 1)

    async def scenario() -> None:
        app = web.Application()
        app.router.add_route("*", "/", serve)
        async with test_utils.TestServer(app) as server:
            session = aiohttp.ClientSession(middlewares=middlewares)  # type: ignore[arg-type]
            async with session:
                await ask(session, str(server.make_url("/")))

    asyncio.run(scenario())
    return calls


def throttled(seconds: str) -> web.Response:
    return web.Response(status=429, headers={"Retry-After": seconds})


def test_an_overloaded_server_is_asked_again_and_bodies_are_sent_again() -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with session.post(url, data="{}") as response:
            assert await response.text() == "done"
        assert loop.time() - begun >= 1.0, "as long as the server asked for"

    assert asked(lambda call: web.Response(text="done") if call else throttled("1"), ask, Patience()) == 2


def test_a_wait_that_is_longer_than_the_call_may_take_is_the_callers() -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(url) as response:
            assert response.status == 429

    assert asked(lambda _: throttled("3600"), ask, Patience(5.0)) == 1


def test_the_calls_own_time_ends_the_wait() -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        with pytest.raises(TimeoutError):
            await session.get(url, timeout=aiohttp.ClientTimeout(total=0.2))

    assert asked(lambda _: throttled("5"), ask, Patience()) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2", 2.0), ("0", 0.5), ("-1", 0.5), ("3600", LONGEST_SECONDS), ("inf", LONGEST_SECONDS), ("nan", 1.0),
     (None, 1.0), ("", 1.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0)],
)  # fmt: skip
def test_what_a_server_asks_for_has_bounds(header: str | None, seconds: float) -> None:
    assert retry_after(header) == seconds


def test_a_page_in_place_of_an_answer_is_a_connection_that_failed() -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        with pytest.raises(aiohttp.ClientConnectionError, match="page of HTML"):
            await session.get(url)

    asked(lambda _: web.Response(text="<html>", content_type="text/html"), ask, refuse_pages)


def test_logs_and_errors_pass() -> None:
    async def ask(session: aiohttp.ClientSession, url: str) -> None:
        for status, kind in ((200, "text/plain"), (502, "text/html")):
            async with session.get(url) as response:
                assert (response.status, response.content_type) == (status, kind)

    def answer(call: int) -> web.Response:
        kind = "text/html" if call else "text/plain"
        return web.Response(status=502 if call else 200, text="text", content_type=kind)

    asked(answer, ask, refuse_pages)


@pytest.mark.parametrize(("status", "is_outage"), [(0, True), (401, True), (429, True), (503, True), (409, False)])
def test_an_outage_says_nothing_of_what_was_asked(status: int, is_outage: bool) -> None:
    assert ApiError(status, "", "").is_outage is is_outage
