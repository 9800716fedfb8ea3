"""Answers of the API server whose bodies the client has not read."""

import json
from typing import Any, cast

import aiohttp
from pydantic_core import from_json

from distillation_operator.controller.api_error import ApiError


class Answer(aiohttp.ClientResponse):
    """A response whose JSON is read by ``parsed``."""

    async def json(self, **arguments: Any) -> Any:
        """The JSON of the body, as aiohttp reads it."""
        return await super().json(**{"loads": parsed, **arguments})


def parsed(text: str | bytes) -> Any:
    """JSON in less than half the time that the standard parser takes, and all names once in memory; that one decides on
    what isn't JSON. Raises ValueError."""
    try:
        return from_json(text, cache_strings="keys")
    except ValueError:
        return json.loads(text)


async def decoded(call: Any) -> Any:
    """The JSON of a response that the client has not read. Raises ApiError."""
    return parsed(await read_body(call))


async def sized(call: Any) -> tuple[Any, int]:
    """The JSON of a response that the client has not read, and how many bytes it had. Raises ApiError."""
    body = await read_body(call)
    return parsed(body), len(body)


async def text(call: Any) -> str:
    """The text of a response that the client has not read. Raises ApiError."""
    return (await read_body(call)).decode(errors="replace")


async def opened(call: Any) -> aiohttp.ClientResponse:
    """A response whose body is still to be read. Raises ApiError."""
    response = await call
    if response.status >= 400:
        raise api_error(response.status, response.reason, await response.read())
    return cast(aiohttp.ClientResponse, response.response)


async def read_body(call: Any) -> bytes:
    """The body of a response that the client has not read. Raises ApiError."""
    response = await call
    body: bytes = await response.read()
    if response.status >= 400:
        raise api_error(response.status, response.reason, body)
    return body


def api_error(status: int, reason: str | None, body: str | bytes | None) -> ApiError:
    """The server's words are in the body, a ``Status`` object; a proxy's page has none."""
    try:
        status_object = json.loads(body or "")
        return ApiError(status, status_object.get("reason") or reason or "", status_object.get("message") or "")
    except (ValueError, AttributeError):
        return ApiError(status, reason or "", str(body or "")[:500])
