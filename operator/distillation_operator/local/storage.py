"""A storage on this machine, which one job works on at a time.

Two would make what they share twice, since neither sees what the other is at, and each counts on the whole machine.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distillation_operator.local.errors import telling_of_disk
from distillation_operator.local.hold import held

_LOCK = ".distillation-local.lock"


def require_usable(storage: Path) -> None:
    """Require that the folder can be written, or made where there is none. Raises LocalError; makes nothing."""
    with telling_of_disk(storage):
        nearest = next(place for place in (storage, *storage.parents) if os.path.lexists(place))
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(storage))
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(storage))


@contextmanager
def storage_held(storage: Path, job: str) -> Iterator[None]:
    """Hold the folder for the job of this name, and make it where there is none. Raises LocalError when another process
    holds it, or when it can't be written.
    """

    def refusal(holder: str) -> str:
        name, _, process = holder.partition(" ")
        return (
            f"{storage} is held by another `distillation-operator local`: job {name or 'unknown'}, process "
            f"{process or 'unknown'}; wait for its end (distillation-operator watch {storage / name}), or give another "
            "--storage"
        )

    with telling_of_disk(storage):
        storage.mkdir(parents=True, exist_ok=True)
    with held(storage / _LOCK, f"{job} {os.getpid()}", refusal):
        yield
