"""Processes that outlive whoever has started them, found by the mark in their environment.

A program's child may have left its process group and session, so neither tells; the environment is inherited.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from distillation_api.contract import GRACE_SECONDS
from distillation_operator.local.environment import PROCESS_ENV
from distillation_operator.local.errors import LocalError
from distillation_operator.local.signals import Signals

_SEPARATOR = "//"
"""In no absolute path."""
_SECONDS_TO_DIE = 20.0
"""Of a killed process that waits for a disk or a device."""


def mark_of_job(owner: str) -> str:
    """The beginning of the marks of all processes of one job."""
    return f"{owner}{_SEPARATOR}"


def mark_of_process(owner: str, name: str) -> str:
    """The mark of one process and of all that it has started."""
    return f"{owner}{_SEPARATOR}{name}\0"


def marked(mark: str, proc: Path = Path("/proc")) -> list[int]:
    """The living processes with this mark."""
    return list(_marked(os.fsencode(f"\0{PROCESS_ENV}={mark}"), proc))


def kill_marked(mark: str) -> list[int]:
    """Kill all processes with this mark, those too that are started meanwhile; returns those that don't go."""
    until = time.monotonic() + _SECONDS_TO_DIE
    while pids := marked(mark):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > until:
            return pids
        time.sleep(0.02)
    return []


def end_leftovers(owner: str, say: Callable[[str], None], signals: Signals, patience: float = GRACE_SECONDS) -> None:
    """Return when nothing runs any more that an earlier `local` has started for the job of this owner.

    It was asked to end when that one went, so it has ``patience`` seconds to save what it is at, and is killed then, or
    at a signal. Raises LocalError when something doesn't go.
    """
    mark = mark_of_job(owner)
    left = marked(mark)
    if left:
        say(f"waits for processes of an earlier start to end: {', '.join(map(str, left))}")
    until = time.monotonic() + patience
    while marked(mark) and time.monotonic() < until and not signals.received:
        signals.wait(0.2)
    left = kill_marked(mark)
    if left:
        raise LocalError(
            f"processes of an earlier start don't end, though killed: {', '.join(map(str, left))}; they may write into "
            "the same folders, so nothing is started"
        )


def _marked(entry: bytes, proc: Path) -> Iterator[int]:
    for folder in proc.iterdir() if proc.is_dir() else ():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        # Another user's, or gone meanwhile. That of one which is dying is empty.
        with contextlib.suppress(OSError):
            if entry in b"\0" + (folder / "environ").read_bytes():
                yield int(folder.name)
