"""The lists with which kopf's watches begin.

What was deleted while nothing was watched is in no list, and no watch reports it: who keeps what was watched has to
look for it after each list but the first.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence

import aiohttp

from distillation_operator.controller.patience import pause

LISTED_SECONDS = 1.0
"""What is listed within so short a time is reported once."""


class Listings:
    """A middleware of aiohttp that knows what was listed, by path.

    ``plurals``: of what is watched. ``missed``: called when something was listed again, so that deletions may have been
    missed; False when it has to be called once more.
    """

    def __init__(self, plurals: Sequence[str], missed: Callable[[], Awaitable[bool]]) -> None:
        self._plurals = frozenset(plurals)
        self._missed = missed
        self._listed: set[str] = set()
        self._is_due = False
        # Not that of whoever lists, with which it would end.
        self._context = contextvars.copy_context()
        self._telling: asyncio.Task[None] | None = None

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """The answer."""
        response = await handler(request)
        path, query = request.url.path, request.url.query
        begins_list = not {"watch", "continue"} & query.keys() and path.rpartition("/")[2] in self._plurals
        if begins_list and response.status == 200:
            if path in self._listed:
                self._tell()
            self._listed.add(path)
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
