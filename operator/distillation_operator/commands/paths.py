"""What lies at paths of this machine, with an error that names the path where that can't be known."""

import sys
from pathlib import Path

from distillation_operator.commands.errors import CommandError

STDIN = "-"
LARGEST = 64 << 20
"""Bytes of a file that is read: manifests, statuses, facts and histories are far smaller."""


def unreadable(path: str | Path, error: OSError) -> CommandError:
    """The error for a path of which the system refuses to tell."""
    return CommandError(f"{path} can't be read: {error.strerror or error}")


def is_folder(path: str | Path) -> bool:
    """Whether there is a folder. Raises CommandError where the system doesn't tell, as for a lack of rights."""
    try:
        return Path(path).is_dir()
    except OSError as error:
        raise unreadable(path, error) from error


def is_there(path: str | Path) -> bool:
    """Whether there is anything. Raises CommandError where the system doesn't tell, as for a lack of rights."""
    try:
        return Path(path).exists()
    except OSError as error:
        raise unreadable(path, error) from error


def read_text(path: str | Path) -> str:
    """A text file of at most ``LARGEST`` bytes. Raises CommandError that names it."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        # A name with a null byte.
        raise CommandError(f"{path} can't be read: {error}") from error
    return _decoded(str(path), content)


def read_stdin() -> str:
    """Standard input, of at most ``LARGEST`` bytes. Raises CommandError."""
    try:
        text = sys.stdin.read(LARGEST + 1)
    except OSError as error:
        raise unreadable("standard input", error) from error
    except UnicodeDecodeError as error:
        raise _no_text("standard input") from error
    if len(text) > LARGEST:
        raise _too_large("standard input")
    return text


def inside(storage: Path, path: str) -> Path | None:
    """A file in the storage; None when it isn't there, or leads out of it."""
    try:
        root = storage.resolve()
        found = (root / path).resolve()
        return found if found.is_relative_to(root) and found.is_file() else None
    except (OSError, ValueError, RuntimeError):
        # Among them a circle of links.
        return None


def _decoded(name: str, content: bytes) -> str:
    if len(content) > LARGEST:
        raise _too_large(name)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _no_text(name) from error


def _too_large(name: str) -> CommandError:
    return CommandError(f"{name} can't be read: it has more than {LARGEST:,} bytes, which no file of a job has")


def _no_text(name: str) -> CommandError:
    return CommandError(f"{name} can't be read: it is not text in UTF-8")
