"""The cache of this machine: environments and programs, named by what they are made of, so never stale."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache() -> Path:
    """The folder of the cache: ``DISTILLATION_CACHE``, else ``distillation-operator`` in ``XDG_CACHE_HOME`` or
    ``~/.cache``; absolute.
    """
    if chosen := os.environ.get("DISTILLATION_CACHE"):
        return Path(chosen).expanduser().resolve()
    shared = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    # The standard has relative paths ignored.
    return (shared if shared.is_absolute() else Path("~/.cache").expanduser()) / "distillation-operator"


@contextmanager
def locked(file: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Hold the exclusive lock of ``file``, whose folder is made; yields its descriptor.

    ``waiting`` is called once if somebody else holds it. A child that gets the descriptor holds the lock too, until it
    ends: what a killed process has started is waited for.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle.fileno()
