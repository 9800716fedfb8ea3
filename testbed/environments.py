"""The Python environments of the images and of tools: one per requirements file, named by that file's hash.

The images of the testbed contain no Python: containers see these folders read-only (see images.py). So an
environment is exactly what the real image installs, and changing a requirements file makes a new one.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from testbed.commands import logged
from testbed.layout import CHECKOUT, SOURCES, cache

_COMPLETE = ".compiled"
NAMES = ("operator", "fetcher", "teacher", "trainer", "converter")
TOOLS = ("scanner",)
"""Of no image: programs of others that the tests run, whose dependencies don't go with ours."""


def requirements(name: str) -> Path:
    """The locked requirements file of an environment."""
    return CHECKOUT / "requirements" / f"{name}.txt"


def folder(name: str) -> Path:
    """Where an environment is, or will be."""
    digest = hashlib.sha256(requirements(name).read_bytes()).hexdigest()[:12]
    return cache() / "venvs" / f"{name}-{digest}"


def python(name: str) -> Path:
    """An environment's interpreter: the same absolute path on the host and in the containers."""
    return folder(name) / "bin" / "python"


def interpreter() -> Path:
    """The base installation's interpreter, which all environments link to."""
    return (Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}").resolve()


def missing(wanted: tuple[str, ...]) -> list[str]:
    """The environments that `build` would have to make."""
    return [name for name in wanted if not _complete(name).exists()]


def build(wanted: tuple[str, ...], log: Path, step: Callable[[str], None]) -> None:
    """Make every wanted environment that isn't in the cache; `step` is told which."""
    for name in missing(wanted):
        step(f"environment {name}")
        _build(name, log)


def _complete(name: str) -> Path:
    # An environment can't be built elsewhere and renamed (its scripts contain its path), so a marker says it is whole.
    return folder(name) / _COMPLETE


def _build(name: str, log: Path) -> None:
    if folder(name).exists():
        shutil.rmtree(folder(name))
    folder(name).parent.mkdir(parents=True, exist_ok=True)
    # Hard links: the three environments share several GB.
    env = {"UV_LINK_MODE": os.environ.get("UV_LINK_MODE", "hardlink")}
    logged([uv(), "venv", "--python", str(interpreter()), str(folder(name))], log, timeout=120, env=env)
    install = [uv(), "pip", "install", "--python", str(python(name)), "--require-hashes", "--no-deps"]
    logged([*install, "--requirement", str(requirements(name))], log, timeout=3600, env=env)
    # Pods can't write bytecode; without it MaxText's imports alone take a minute of CPU in each.
    others = [str(marker.parent) for marker in folder(name).parent.glob(f"*/{_COMPLETE}")]
    compiling = [str(interpreter()), str(SOURCES / "bytecode.py"), str(folder(name)), *others]
    logged(compiling, log, timeout=3600)
    _complete(name).touch()


def uv() -> str:
    """The uv of the development environment, else the PATH's."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"
