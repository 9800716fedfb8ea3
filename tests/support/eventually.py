"""Waiting for what will be true, with a limit: never a sleep in place of a condition."""

import time
from collections.abc import Callable


def eventually[T](what: str, look: Callable[[], T | None], seconds: float = 60.0, pause: float = 0.2) -> T:
    """What ``look`` returns once that is true; fails after ``seconds`` with the last that it saw."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}; last seen: {seen!r}"
        time.sleep(pause)
