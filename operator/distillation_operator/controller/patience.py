"""How long to wait before a call is made again: what an API server asks for by 429, and after what failed."""

import asyncio
import math
import random

import aiohttp

LONGEST_SECONDS = 10.0
"""Servers that are overloaded ask for a second or two; what asks for an hour would leave us blind for it."""
SHORTEST_SECONDS = 0.5
UNSAID_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 5.0
TOO_MANY_REQUESTS = 429


class Patience:
    """A middleware of aiohttp that repeats calls which were answered 429, after the time that the server asks for.

    ``seconds``: for how long one call is repeated, before its 429 is handed on. The call's own timeout ends it too.
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self._seconds = seconds

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """The answer, in the end."""
        left = self._seconds
        while True:
            response = await handler(request)
            if response.status != TOO_MANY_REQUESTS:
                return response
            asked = retry_after(response.headers.get("Retry-After"))
            if asked > left:
                return response
            left -= asked
            response.release()
            await asyncio.sleep(asked)


def retry_after(header: str | None) -> float:
    """Seconds to wait for what the header says, at most ``LONGEST_SECONDS``."""
    try:
        asked = float(header or UNSAID_SECONDS)
    except ValueError:
        # It may be a date, which Kubernetes never sends.
        asked = UNSAID_SECONDS
    if math.isnan(asked):
        asked = UNSAID_SECONDS
    return min(max(asked, SHORTEST_SECONDS), LONGEST_SECONDS)


def pause(failures: int) -> float:
    """Seconds to wait after so many failures before this one, never the same for all that fail together."""
    return min(0.5 * 2.0 ** min(failures, 16), LONGEST_PAUSE_SECONDS) * random.uniform(0.7, 1.0)
