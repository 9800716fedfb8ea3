"""Files that one process holds at a time, with who that is in them."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from distillation_operator.local.errors import LocalError, telling_of_disk

_SECONDS_OF_A_LOOK = 1.0
"""Whoever looks whether a file is held (``is_held``) holds it for a moment."""


@contextmanager
def held(file: Path, holder: str, refusal: Callable[[str], str]) -> Iterator[None]:
    """Hold the file, which is made where there is none, with the ``holder`` written into it.

    Raises LocalError when another process holds it, with the ``refusal`` of what that one has written, and when the
    file system refuses it.
    """
    with telling_of_disk(file):
        lock = file.open("a+", encoding="utf-8", errors="replace")
    with lock:
        if not _locked(lock):
            lock.seek(0)
            raise LocalError(refusal(lock.read().strip()))
        with telling_of_disk(file):
            lock.truncate(0)
            lock.write(holder)
            lock.flush()
        yield


def is_held(file: Path) -> bool:
    """Whether a process holds the file."""
    try:
        with file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _locked(lock: TextIO) -> bool:
    until = time.monotonic() + _SECONDS_OF_A_LOOK
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
        except OSError as error:
            raise LocalError(f"{lock.name} can't be locked: {error.strerror or error}") from error
