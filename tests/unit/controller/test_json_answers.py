"""JSON of the API server is read fast, and as the standard parser reads it."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import test_utils, web

from distillation_operator.controller.answers import Answer, parsed


@pytest.mark.parametrize(
    "text",
    [
        '{"kind": "List", "items": [{"a": 1, "b": [true, null, -1.5e-7, ""]}], "large": 12345678901234567890123}',
        '"\\ud83d\\ude00 and half of one: \\ud83d"',
        "[" * 200 + "]" * 200,
        '{"a": 1, "a": 2}',
        "[NaN, Infinity]",
    ],
)
def test_json_is_what_the_standard_parser_makes_of_it(text: str) -> None:
    assert repr(parsed(text)) == repr(json.loads(text))
    assert repr(parsed(text.encode())) == repr(json.loads(text))


@pytest.mark.parametrize("text", ["", "<html>", '{"a": 1', '{"a": 1} more'])
def test_what_is_not_json_is_refused_as_by_the_standard_parser(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        parsed(text)


@pytest.mark.parametrize(("body", "expected"), [('{"kind": "Status"}', {"kind": "Status"}), ("busy", None)])
def test_watches_read_lists_so(body: str, expected: Any) -> None:
    async def serve(request: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    async def scenario() -> Any:
        app = web.Application()
        app.router.add_route("*", "/", serve)
        async with (
            test_utils.TestServer(app) as server,
            aiohttp.ClientSession(response_class=Answer) as session,
            session.get(server.make_url("/")) as response,
        ):
            return await response.json()

    if expected is not None:
        assert asyncio.run(scenario()) == expected
    else:
        with pytest.raises(json.JSONDecodeError):
            asyncio.run(scenario())
