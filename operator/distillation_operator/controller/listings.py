"""The lists with which kopf's watches begin, as pages or as the first events of a stream.

What was deleted while nothing was watched is in no list, and no watch reports it: who keeps what was watched has to
look for it after each list but the first. And a stream that is cut before the end of its list is continued by kopf from
the version of the last object that came, behind which objects that have not come may be older: it has to begin again.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import aiohttp

from distillation_operator.controller.patience import pause

LISTED_SECONDS = 1.0
"""What is listed within so short a time is reported once."""
END = b"k8s.io/initial-events-end"
"""Annotated on the bookmark that ends the list of a stream."""


class ListCut(Exception):
    """A stream has ended before its list had, and is to go on from a version that means nothing."""


class Listings:
    """A middleware of aiohttp that knows what was listed, by path.

    ``plurals``: of what is watched. ``missed``: called when something was listed again, so that deletions may have been
    missed; False when it has to be called once more.
    """

    def __init__(self, plurals: Sequence[str], missed: Callable[[], Awaitable[bool]]) -> None:
        self._plurals = frozenset(plurals)
        self._missed = missed
        self._listed: set[str] = set()
        self._unfinished: set[str] = set()
        self._is_due = False
        # Not that of whoever lists, with which it would end.
        self._context = contextvars.copy_context()
        self._telling: asyncio.Task[None] | None = None

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """The answer. Raises ListCut."""
        path, query = request.url.path, request.url.query
        if path.rpartition("/")[2] not in self._plurals:
            return await handler(request)
        if "watch" in query and "sendInitialEvents" not in query and path in self._unfinished:
            raise ListCut(f"the list of {path} was cut, and begins again")
        response = await handler(request)
        if response.status == 200 and _begins_list(query):
            if path in self._listed:
                self._tell()
            self._listed.add(path)
            self._unfinished.discard(path)
            if "sendInitialEvents" in query:
                self._unfinished.add(path)
                content: Any = _List(response.content, lambda: self._unfinished.discard(path))
                response.content = content
        return response

    async def close(self) -> None:
        """Report nothing any more."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    def _tell(self) -> None:
        self._is_due = True
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_soon(), context=self._context)

    async def _tell_soon(self) -> None:
        failures = 0
        while self._is_due:
            await asyncio.sleep(LISTED_SECONDS + (pause(failures) if failures else 0.0))
            # What is listed from now on is reported once more.
            self._is_due = False
            if await self._missed():
                failures = 0
            else:
                self._is_due, failures = True, failures + 1


class _List:
    """The body of a stream that begins with a list; ``ended`` is called at the list's end."""

    def __init__(self, content: aiohttp.StreamReader, ended: Callable[[], None]) -> None:
        self._content = content
        self._ended = ended

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """The chunks, as kopf reads them."""
        before: bytes | None = b""
        async for chunk in self._content.iter_chunked(size):
            if before is not None:
                seen = before + chunk
                before = None if END in seen else seen[-len(END) :]
                if before is None:
                    self._ended()
            yield chunk


def _begins_list(query: Mapping[str, str]) -> bool:
    return "sendInitialEvents" in query or not {"watch", "continue"} & query.keys()
