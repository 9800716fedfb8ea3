"""A start's way to its first token or step: where the seconds go in which chips are paid for and idle."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from distillation_api.contract import StartUp
from distillation_stages.runtime.failure import StageError

MOST_PROGRAMS = 2**31
"""That are counted: the numbers come from logs of libraries."""

Part = Literal["imports", "weights", "compile"]


class StartUpClock:
    """Seconds by part since the process began, until the first token or step has come."""

    def __init__(self) -> None:
        """Made by a program's first line: all before was imports, of the program itself."""
        now = time.monotonic()
        self._began = now - seconds_of_process()
        self._parts: dict[Part, float] = {"imports": now - self._began, "weights": 0.0, "compile": 0.0}
        self._cache = (0, 0)
        self._first: float | None = None

    def took(self, part: Part, seconds: float) -> None:
        """Something of this part has ended."""
        if self._first is None:
            self._parts[part] += max(0.0, seconds)

    def found(self, hits: int, misses: int) -> None:
        """Programs that a cache had, and that it hadn't."""
        if self._first is None:
            self._cache = self._cache[0] + hits, self._cache[1] + misses

    @contextmanager
    def taking(self, part: Part) -> Iterator[None]:
        """The block is of this part."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.took(part, time.monotonic() - started)

    def first(self) -> None:
        """The first token or step is there; what is called later changes nothing."""
        if self._first is None:
            self._first = time.monotonic()

    @contextmanager
    def attached_to_failures(self) -> Iterator[None]:
        """A StageError of the block tells how far the start had come."""
        try:
            yield
        except StageError as error:
            error.start_up = self.read()
            raise

    def read(self) -> StartUp:
        """By part, up to the first token or step, or to now."""
        whole = (time.monotonic() if self._first is None else self._first) - self._began
        parts: dict[Part, float] = {}
        # Parts are measured by different clocks, some by libraries: together they are never more than the whole.
        left = whole
        for part, seconds in self._parts.items():
            parts[part] = min(seconds, left)
            left -= parts[part]
        hits, misses = (min(count, MOST_PROGRAMS) for count in self._cache)
        return StartUp(
            imports=round(parts["imports"], 2),
            weights=round(parts["weights"], 2),
            compile=round(parts["compile"], 2),
            other=round(max(0.0, left), 2),
            cache_hits=hits,
            cache_misses=misses,
        )


def seconds_of_process(stat: Path = Path("/proc/self/stat")) -> float:
    """How old this process is; 0 where that can't be known."""
    try:
        # The second field is the program's name in brackets, in which anything may stand.
        ticks = int(stat.read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
