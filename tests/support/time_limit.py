"""A limit for what has none of its own, such as fixtures where pytest's timeout is that of the test alone."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Fails by the name of ``what`` when the work takes longer than ``seconds``. Only in the main thread, and where no
    other timer of the process runs: pytest-timeout has the same one.
    """

    def late(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"not within {seconds:g} s: {what}")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
