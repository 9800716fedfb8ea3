"""Compiled programs of stages in one folder for all tests' storages, as an installation that shares them keeps them.

Most of a small training's start is compiling the same step again.
"""

import os
import tempfile
from pathlib import Path

from testbed.layout import cache

_FOLDER = "cache/jax"
"""Where `COMPILE_CACHE_ENV` of these tests has programs keep them, in a storage."""


def lend(storage: Path) -> None:
    """Have the storage begin with what earlier programs have compiled, as hard links."""
    _link_absent(_kept(), storage / _FOLDER)


def keep(storage: Path) -> None:
    """Take over what a program has compiled that ended well: what a killed one wrote may be half a file."""
    _link_absent(storage / _FOLDER, _kept())


def _kept() -> Path:
    return cache() / "compiled-by-tests"


def _link_absent(source: Path, target: Path) -> None:
    for path in source.glob("*/*-cache"):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        # Two layers may do this at the same time.
        with tempfile.TemporaryDirectory(dir=copy.parent) as folder:
            link = Path(folder) / copy.name
            os.link(path, link)
            if not copy.exists():
                link.rename(copy)
