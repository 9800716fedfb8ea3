"""Waiting for a component: always with a limit, always with its log in the message when the limit is reached."""

import time
from collections.abc import Callable
from pathlib import Path

from testbed.errors import TestbedError, log_end

Probe = Callable[[], bool]


def until(what: str, probe: Probe, *, timeout: float, log: Path | None = None, alive: Probe | None = None) -> float:
    """Poll `probe` until it is true and return the seconds that took.

    `alive`, where given, ends the wait early when the process waited for has died.
    """
    began = time.monotonic()
    while not probe():
        waited = time.monotonic() - began
        if alive is not None and not alive():
            raise TestbedError(_message(f"{what}: the process ended after {waited:.0f} s", log))
        if waited > timeout:
            raise TestbedError(_message(f"{what}: not after {timeout:.0f} s", log))
        time.sleep(0.1)
    return time.monotonic() - began


def _message(line: str, log: Path | None) -> str:
    return line if log is None else f"{line}\n{log_end(log)}"
