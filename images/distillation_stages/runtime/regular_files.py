"""Files of others, opened for what they are: a link may lead anywhere in the container, and a pipe never ends."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from distillation_api import reasons
from distillation_stages.runtime.failure import StageError


class NotRegular(Exception):
    """A file that isn't read. The message says what it is instead of a file."""


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The regular file of that name. Raises NotRegular for a link and all else."""
    if path.is_symlink():
        raise NotRegular("a link")
    # Between the two looks it may become one.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegular("no file")
    with open(descriptor, "rb") as file:
        yield file


def read_regular(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes. Raises NotRegular."""
    with opened(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise NotRegular(f"longer than {limit} bytes")
    return content


def inside(root: Path, path: Path) -> Path:
    """Where the path leads, through all links. Raises StageError when that isn't inside the folder ``root``."""
    found = path.resolve()
    if not found.is_relative_to(root.resolve()):
        raise StageError(
            reasons.PATH_OUTSIDE_STORAGE, f"{path} is a link, or lies behind one, that leads out of {root}; give a file"
        )
    return found


def copy_content(source: Path, target: Path, root: Path) -> None:
    """Copy a file's content. Raises StageError for a source that isn't a file inside the folder ``root``."""
    try:
        with opened(inside(root, source)) as file, target.open("wb") as written:
            shutil.copyfileobj(file, written, 1 << 20)
    except NotRegular as what:
        raise StageError(reasons.PATH_OUTSIDE_STORAGE, f"{source} has become {what} while it was read") from what
