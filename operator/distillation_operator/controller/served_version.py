"""The version in which an API server serves the group of a controller that users install by themselves."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from distillation_operator.controller.api_error import ApiError

SECONDS_KNOWN = 600.0
SECONDS_ABSENT = 60.0
"""For so long a group that isn't served isn't asked for again: it may be installed at any time."""


class ServedVersion:
    """The first of the versions that we know which is served; failing these, the one that the server prefers.

    ``read``: the API server's answer at a path. It is asked at most every few minutes.
    """

    def __init__(self, group: str, known: tuple[str, ...], read: Callable[[str], Awaitable[Mapping[str, Any]]]) -> None:
        self._path = f"/apis/{group}"
        self._known = known
        self._read = read
        self._until = 0.0
        self._version: str | None = None

    async def get(self) -> str | None:
        """The version; None where the group isn't served. Raises ApiError."""
        now = asyncio.get_running_loop().time()
        if now >= self._until:
            self._version = await self._ask()
            self._until = now + (SECONDS_ABSENT if self._version is None else SECONDS_KNOWN)
        return self._version

    def forget(self) -> None:
        """Ask again next time: the version is served no more."""
        self._until = 0.0

    async def _ask(self) -> str | None:
        try:
            told = await self._read(self._path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        served = [str(version["version"]) for version in told.get("versions") or []]
        preferred = (told.get("preferredVersion") or {}).get("version")
        return next((version for version in self._known if version in served), preferred)
