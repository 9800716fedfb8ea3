"""Directories that appear complete or not at all, and that every uid can read."""

import filecmp
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DIRECTORY_MODE = 0o755
FILE_MODE = 0o644


def make_readable(directory: Path) -> None:
    """Gives the directory and all below it the modes that let containers with any uid read it."""
    directory.chmod(DIRECTORY_MODE)
    for path in directory.rglob("*"):
        path.chmod(DIRECTORY_MODE if path.is_dir() else FILE_MODE)


def readable_directory(path: Path) -> Path:
    """The directory, created if missing and opened for reading to every uid; what is in it stays as it is."""
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_mode & 0o005 != 0o005:
        path.chmod(DIRECTORY_MODE)
    return path


def is_copy(path: Path, source: Path) -> bool:
    """Whether a file or directory is a copy of the source that every uid can read, with nothing linked or added."""
    if path.is_symlink() or not path.exists():
        return False
    mode = path.stat().st_mode & 0o777
    if not source.is_dir():
        return path.is_file() and mode == FILE_MODE and filecmp.cmp(path, source)
    if not path.is_dir() or mode != DIRECTORY_MODE:
        return False
    names = {below.name for below in source.iterdir()}
    return {below.name for below in path.iterdir()} == names and all(is_copy(path / n, source / n) for n in names)


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A temporary directory next to `target` that takes its place when the block ends without an error.

    An older `target` is replaced. When the block fails, the older one stays and the temporary directory goes.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # The old directory moves into `scratch`, so that one removal cleans up after success and after failure.
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        fresh = scratch / "new"
        fresh.mkdir()
        yield fresh
        make_readable(fresh)
        if target.exists():
            target.rename(scratch / "old")
        fresh.rename(target)
    finally:
        shutil.rmtree(scratch)
