"""The Python environments of the images on this machine: one per lock, named by its digest, made once.

An environment is exactly what the image installs, and a changed lock makes a new one. Environments hold none of this
project's code: whoever runs a stage program puts the API and the stage programs on its path, as images do.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from distillation_operator.local import bytecode
from distillation_operator.local.cache import cache, locked
from distillation_operator.local.downloads import gib, size_of
from distillation_operator.local.installer import PreparationError, Run, interpreter, logged_to, registry, uv
from distillation_operator.local.locks import IMAGES, digest, lock

Say = Callable[[str], None]

# An environment can't be made elsewhere and renamed (its scripts contain its path), so a marker says it is whole.
_COMPLETE = ".compiled"


def folder(name: str) -> Path:
    """Where an environment is, or will be."""
    return cache() / "venvs" / f"{name}-{digest(name)}"


def python(name: str) -> Path:
    """An environment's interpreter."""
    return folder(name) / "bin" / "python"


def missing(wanted: Iterable[str]) -> list[str]:
    """Those of the wanted environments that are not made yet, each once, in the order in which they are made."""
    asked = set(wanted)
    # One order for all: two that prepare at the same time never wait for each other.
    known = [name for name in IMAGES if name in asked]
    return [name for name in (*known, *sorted(asked - set(known))) if not _is_made(name)]


def _is_made(name: str) -> bool:
    # The interpreter is a link to the base installation's, which an upgrade may have replaced.
    return (folder(name) / _COMPLETE).exists() and python(name).exists()


def prepared(images: Iterable[str]) -> dict[str, Path]:
    """The interpreters of these images, by image.

    Raises PreparationError when an environment isn't made, with the command that makes it.
    """
    images = _known(images)
    if absent := missing(images):
        # Alone, `--prepare` makes none for TPUs: not every machine has them.
        command = "local FILE --storage DIR --prepare" if "teacher-tpu" in absent else "local --prepare"
        raise PreparationError(
            f"no Python environment here for {', '.join(absent)} (in {cache() / 'venvs'}); make it with: "
            f"distillation-operator {command}"
        )
    return {image: python(image) for image in images}


def prepare(images: Iterable[str], say: Say) -> dict[str, Path]:
    """The interpreters of these images, by image; environments that are missing are made first.

    Can be killed at any moment and repeated: what is whole stays. Another process that makes one of them is waited
    for. ``say`` gets a line for each step. Raises PreparationError when the machine can't have them (its platform, its
    disk), and when packages can't be installed.
    """
    images = _known(images)
    if absent := missing(images):
        _check_machine(absent, say)
        build(absent, logged_to(cache() / "logs" / "python.log"), say)
    return {image: python(image) for image in images}


def build(wanted: Iterable[str], run: Run, say: Say) -> None:
    """Make the wanted environments that are missing; commands go through ``run``.

    While one is compiled the next is downloaded. Raises PreparationError when files can't be written, and what ``run``
    raises.
    """
    try:
        _build(missing(wanted), run, say)
    except OSError as error:
        raise PreparationError(f"{error.filename or cache()}: {error.strerror or error}") from error


def _build(absent: Sequence[str], run: Run, say: Say) -> None:
    with ExitStack() as locks, ThreadPoolExecutor(1) as compiler:
        compiled: list[Future[None]] = []
        for number, name in enumerate(absent, 1):
            waiting = partial(say, f"environment {name}: another process makes it; waiting for that")
            held = locks.enter_context(locked(folder(name).with_name(f".{folder(name).name}.lock"), waiting))
            if missing([name]):
                say(f"environment {name}: downloading and installing" + _position(number, absent))
                _install(name, uv(run, say), run, held)
                compiled.append(compiler.submit(_compile, name, run, held))
        for done in compiled:
            done.result()


def _position(number: int, absent: Sequence[str]) -> str:
    return f" ({number} of {len(absent)})" if len(absent) > 1 else ""


def _install(name: str, program: Path, run: Run, held: int) -> None:
    if folder(name).exists():
        shutil.rmtree(folder(name))
    folder(name).parent.mkdir(parents=True, exist_ok=True)
    # Hard links: the environments share several GB.
    variables = {"UV_LINK_MODE": os.environ.get("UV_LINK_MODE", "hardlink"), **registry()}
    run([str(program), "venv", "--python", str(interpreter()), str(folder(name))], variables, held)
    install = [str(program), "pip", "install", "--python", str(python(name)), "--require-hashes", "--no-deps"]
    run([*install, "--requirement", str(lock(name))], variables, held)


def _compile(name: str, run: Run, held: int) -> None:
    # Pods can't write bytecode; without it MaxText's imports alone take a minute of CPU in each.
    others = [str(marker.parent) for marker in folder(name).parent.glob(f"*/{_COMPLETE}")]
    run([str(interpreter()), bytecode.__file__, str(folder(name)), *others], {}, held)
    (folder(name) / _COMPLETE).touch()


def _known(images: Iterable[str]) -> list[str]:
    images = list(dict.fromkeys(images))
    for image in images:
        if image not in IMAGES:
            raise PreparationError(f"no image {image!r}; there are {', '.join(IMAGES)}")
        if not lock(image).exists():
            raise PreparationError(
                f"this installation has no {lock(image)}: install the wheel of distillation-operator"
            )
    return images


def _check_machine(absent: list[str], say: Say) -> None:
    if sys.platform != "linux":
        raise PreparationError(
            f"the environments of the images are made of packages for Linux, and this is {sys.platform}: use a "
            "container, or name interpreters of your own"
        )
    place = cache()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PreparationError(
            f"the cache {place} can't be made ({error.strerror}): name another folder by XDG_CACHE_HOME"
        ) from error
    size = size_of(absent, set(IMAGES) - set(missing(IMAGES)), shared=_links(place))
    free = shutil.disk_usage(place).free
    say(
        f"environments to make: {', '.join(absent)}; up to {gib(size.download)} to download, {gib(size.disk)} on disk "
        f"in {place} ({gib(free)} free)"
    )
    if free < size.disk:
        raise PreparationError(
            f"{place} has {gib(free)} free and the environments take about {gib(size.disk)}: make room, or name a "
            "folder of a larger disk by XDG_CACHE_HOME"
        )


def _links(place: Path) -> bool:
    """Whether uv's cache of packages can be linked into the environments."""
    packages = Path(os.environ.get("UV_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "uv"))
    try:
        packages = packages.expanduser()
    except RuntimeError:
        # Where uv has its cache without a home directory is its own matter: room for copies is enough anyway.
        return False
    while not packages.exists():
        packages = packages.parent
    return packages.stat().st_dev == place.stat().st_dev and "UV_LINK_MODE" not in os.environ
