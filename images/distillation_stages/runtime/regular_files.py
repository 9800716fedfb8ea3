"""Files of others, opened for what they are: a link is another file's name, and a pipe never ends."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


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
