"""Compiled programs of stages in one folder for all tests' storages, as an installation that shares them keeps them.

Most of a small training's start is compiling the same step again.
"""

import errno
import os
import shutil
import tempfile
from pathlib import Path

from testbed.layout import cache

_FOLDER = "cache/jax"
"""Where `COMPILE_CACHE_ENV` of these tests has programs keep them, in a storage."""
_KILLED = "killed"
"""There since a program was killed."""


def lend(storage: Path) -> None:
    """Have the storage begin with what earlier programs have compiled, as hard links."""
    _link_absent(_kept(), storage / _FOLDER)


def keep(storage: Path) -> None:
    """Take over what programs of this storage have compiled, if none of them was killed: what that one wrote may be
    half a file, which JAX never writes again.
    """
    if not (storage / _FOLDER / _KILLED).exists():
        _link_absent(storage / _FOLDER, _kept())


def about_to_kill(storage: Path) -> None:
    """Have nothing be kept of this storage, nor of copies of it, any more."""
    (storage / _FOLDER).mkdir(parents=True, exist_ok=True)
    (storage / _FOLDER / _KILLED).touch()


def _kept() -> Path:
    return cache() / "compiled-by-tests"


def _link_absent(source: Path, target: Path) -> None:
    for path in source.glob("*/*-cache"):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        # Two layers may do this at the same time.
        with tempfile.TemporaryDirectory(dir=copy.parent) as folder:
            link = Path(folder) / copy.name
            _link_or_copy(path, link)
            if not copy.exists():
                link.rename(copy)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # The storage of a test and the cache of this machine are on two file systems.
        shutil.copy2(source, target)
