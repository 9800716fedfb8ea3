"""What a user can mend about a job on this machine, and about the cache that it is run with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LocalError(Exception):
    """Ends the work with this message; what is done stays."""


class PreparationError(Exception):
    """What keeps the environments from being made or used, in words for whoever runs the command."""


@contextmanager
def telling_of_disk(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a LocalError that names what can't be written."""
    try:
        yield
    except OSError as error:
        raise LocalError(f"{error.filename or path} can't be written: {error.strerror or error}") from error
