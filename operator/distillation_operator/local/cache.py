"""The cache of this machine: environments and programs, named by what they are made of, so never stale."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from distillation_operator.local.errors import PreparationError

_DEFAULT = "~/.cache"


def cache() -> Path:
    """The folder of the cache: ``DISTILLATION_CACHE``, else ``distillation-operator`` in ``XDG_CACHE_HOME`` or
    ``~/.cache``; absolute. Raises PreparationError where that is in a home directory and there is none.
    """
    if chosen := os.environ.get("DISTILLATION_CACHE"):
        return _without_tilde(chosen, f"DISTILLATION_CACHE is {chosen!r}").resolve()
    shared = os.environ.get("XDG_CACHE_HOME") or _DEFAULT
    place = _without_tilde(shared, f"the cache would be in {shared}")
    # The standard has relative paths ignored.
    if not place.is_absolute():
        place = _without_tilde(_DEFAULT, f"XDG_CACHE_HOME is {shared!r}, a relative path")
    return place / "distillation-operator"


def _without_tilde(path: str, what: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise PreparationError(
            f"{what}, and there is no home directory (no HOME, no passwd entry): name a folder by its absolute path in "
            "DISTILLATION_CACHE or XDG_CACHE_HOME"
        ) from error


@contextmanager
def locked(file: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Hold the exclusive lock of ``file``, whose folder is made; yields its descriptor.

    ``waiting`` is called once if somebody else holds it. A child that gets the descriptor holds the lock too, until it
    ends: what a killed process has started is waited for. Raises PreparationError where the file can't be made.
    """
    with _opened(file) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle.fileno()


def _opened(file: Path) -> IO[str]:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.open("w")
    except OSError as error:
        raise PreparationError(f"{error.filename or file} can't be written: {error.strerror or error}") from error
