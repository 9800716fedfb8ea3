"""What a user can mend about a job on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LocalError(Exception):
    """Ends the work with this message; what is done stays."""


@contextmanager
def telling_of_disk(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a LocalError that names what can't be written."""
    try:
        yield
    except OSError as error:
        raise LocalError(f"{error.filename or path} can't be written: {error.strerror or error}") from error
