"""Asynchronous generators that a task leaves open when it is cancelled between two of their items.

The event loop closes what is left at its end, all at once: a generator that is closed while the one around it is being
closed breaks that one, and the log has an error that is none.
"""

import contextlib
import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

Generator = AsyncGenerator[Any, Any]


class OpenGenerators:
    """Those that are begun while this is installed, for as long as they are in memory.

    ``mine``: asked in the context of who begins one, whether it is to be kept here.
    """

    def __init__(self, mine: Callable[[], bool]) -> None:
        self._mine = mine
        self._begun: weakref.WeakKeyDictionary[Generator, None] = weakref.WeakKeyDictionary()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Within a running event loop, whose own hooks stay in force."""
        hooks = sys.get_asyncgen_hooks()

        def begin(generator: Generator) -> None:
            if self._mine():
                self._begun[generator] = None
            if hooks.firstiter is not None:
                hooks.firstiter(generator)

        sys.set_asyncgen_hooks(firstiter=begin)
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(firstiter=hooks.firstiter)

    async def close(self) -> None:
        """Close them from the outside in: one begins before those that are within it. Nobody may be using them."""
        for generator in list(self._begun):
            # What it raises when it is closed has nobody to go to; it was to end.
            with contextlib.suppress(Exception):
                await generator.aclose()
