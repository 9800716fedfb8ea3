"""The folder for what processes write on the side: where sockets can be made in it, and gone with its `local`, if need
be with the next one.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distillation_operator.local.errors import telling_of_disk

_OWN = "tmp"
_PLACE = "scratch"
"""The file in the job's folder that names the scratch folder."""
_OWNER = "owner"
"""The file in the scratch folder that names the job's: a copy of that one may be somewhere else."""
_PREFIX = "distil-"
_LONGEST = 54
"""Bytes of a path below which libraries can still make sockets: the system takes 107, of which they add some 40."""
_ROOMY = Path("/var/tmp")
"""On a disk where /tmp may be memory."""


@contextmanager
def scratch(job: Path, asked: str | None) -> Iterator[Path]:
    """A new folder, removed afterwards, in ``asked`` or else the job's own; where these are too long for sockets, in
    the system's.

    One that a killed process has left is removed first, so nothing of the job may run. Raises LocalError when it can't
    be made.
    """
    remove_left(job)
    parent = _parent(job, asked)
    with telling_of_disk(parent):
        parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(
            prefix="" if parent == job / _OWN else _PREFIX, dir=parent, ignore_cleanup_errors=True
        )
    with made as folder:
        with telling_of_disk(job):
            (Path(folder) / _OWNER).write_bytes(_name(job))
            (job / _PLACE).write_bytes(os.fsencode(folder))
        yield Path(folder)
    # Who doesn't get here leaves what names it.
    (job / _PLACE).unlink(missing_ok=True)


def remove_left(job: Path) -> None:
    """Remove what an earlier start has left."""
    shutil.rmtree(job / _OWN, ignore_errors=True)
    # Nothing was left, or it is another's.
    with contextlib.suppress(OSError, ValueError):
        left = Path(os.fsdecode((job / _PLACE).read_bytes()))
        if left.is_absolute() and (left / _OWNER).read_bytes() == _name(job):
            shutil.rmtree(left, ignore_errors=True)
    with telling_of_disk(job):
        (job / _PLACE).unlink(missing_ok=True)


def _parent(job: Path, asked: str | None) -> Path:
    for parent, prefix in ((Path(asked).absolute() if asked else None, _PREFIX), (job / _OWN, "")):
        if parent is not None and len(os.fsencode(parent)) + len(prefix) <= _LONGEST:
            return parent
    return _ROOMY if os.access(_ROOMY, os.W_OK | os.X_OK) else Path("/tmp")


def _name(job: Path) -> bytes:
    return os.fsencode(job.resolve())
