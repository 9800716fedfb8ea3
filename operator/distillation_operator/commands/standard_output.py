"""Standard output that can't be written, as on a full disk or where its reader is gone."""

import os
import sys


def flush() -> None:
    """Write what is buffered. Raises OSError where that can't be written."""
    if sys.stdout is not None:
        sys.stdout.flush()


def unwritable(probe: str = "") -> str | None:
    """Why what is buffered, and ``probe`` after it, can't be written; None where it can, so that an error was another
    file's.
    """
    try:
        print(probe, end="", flush=True)
    except OSError as error:
        return error.strerror or str(error)
    return None


def silence() -> None:
    """Drop what is buffered, and all that follows: the interpreter's last flush must not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
