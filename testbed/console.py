"""Progress lines: what is being done, with the seconds since the command began."""

import time
from collections.abc import Callable

Say = Callable[[str], None]


def progress() -> Say:
    """A function that prints one line with the seconds elapsed since this call, at once even into a pipe."""
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {line}", flush=True)

    return say


def silence(line: str) -> None:
    """Print nothing: for callers that have no terminal."""
