"""A bound on the processor time of foreign code that may never end by itself."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class CpuTimeExceeded(Exception):
    """The code has used more processor time than it may."""


@contextmanager
def cpu_time_limit(seconds: float) -> Iterator[None]:
    """Raise CpuTimeExceeded in the block when the process has worked for so long in it; in the main thread only.

    Not the time on the clock: a busy node would make verdicts that another one doesn't.
    """
    before = signal.signal(signal.SIGVTALRM, _exceeded)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _exceeded(signum: int, frame: FrameType | None) -> None:
    raise CpuTimeExceeded
