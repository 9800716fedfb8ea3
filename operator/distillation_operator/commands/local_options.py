"""The options of ``local``."""

import argparse
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.options import given

IMAGES = ("fetcher", "converter", "trainer", "teacher")
"""Environments that stages run in; without chips."""


@dataclass(frozen=True)
class Options:
    """What the command line says, but for the file."""

    storage: str | None = None
    prepare: bool = False
    cores: int | None = None
    ignore_accelerators: bool = False
    interpreters: Mapping[str, Path] = field(default_factory=dict)
    """By image."""
    secrets: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Values by name and key of a Secret."""
    retry: str | None = None
    """A failed stage to try again."""


def add_local_options(local: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    local.add_argument("file", nargs="?", metavar="FILE", help="YAML with one DistillationJob; - for stdin")
    local.add_argument("--storage", type=given, metavar="DIR", help="folder in place of the manifest's spec.storage")
    local.add_argument(
        "--prepare", action="store_true", help="first make the Python environments that are missing; alone: all"
    )
    local.add_argument("--cores", type=int, metavar="N", help="cores that stages share (default: this machine's)")
    local.add_argument(
        "--ignore-accelerators",
        action="store_true",
        help="leave out queue, accelerators and hosts: everything on this machine's CPU, for results of its own",
    )
    local.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="IMAGE=PATH",
        help=f"interpreter with the packages of an image: {', '.join(IMAGES)}, teacher-tpu",
    )
    local.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="NAME/KEY=PLACE",
        help="value of a Secret that the manifest names; PLACE is env:VARIABLE or file:PATH",
    )
    local.add_argument("--retry", metavar="STAGE", help="try a failed stage again")


def local_options(arguments: argparse.Namespace) -> Options:
    """The options of parsed arguments. Raises CommandError for one that isn't right, and where nothing can be run."""
    if platform.system() != "Linux":
        raise CommandError(
            f"local runs on Linux; this is {platform.system() or 'unknown'}. What it starts is found by /proc: take a "
            "Linux machine, WSL 2, or a container with this package"
        )
    if arguments.cores is not None and arguments.cores < 1:
        raise CommandError(f"--cores {arguments.cores}: give 1 or more")
    return Options(
        storage=arguments.storage,
        prepare=arguments.prepare,
        cores=arguments.cores,
        ignore_accelerators=arguments.ignore_accelerators,
        interpreters=dict(map(_interpreter, arguments.python)),
        secrets=dict(map(_secret, arguments.secret)),
        retry=arguments.retry,
    )


def _interpreter(text: str) -> tuple[str, Path]:
    image, _, path = text.partition("=")
    if image not in (*IMAGES, "teacher-tpu") or not path:
        raise CommandError(f"--python {text!r} is no IMAGE=PATH with an image of {', '.join(IMAGES)}, teacher-tpu")
    # Not resolved: an environment's interpreter is a link, whose place tells it of its packages.
    return image, of_user(path).absolute()


def of_user(path: str) -> Path:
    """A path with ``~`` replaced. Raises CommandError where this user has no home."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise CommandError(f"{path}: {error}: give an absolute path, or set HOME") from error


def _secret(text: str) -> tuple[tuple[str, str], str]:
    """The name, the key and the value that stands at the place. Its errors quote no value."""
    reference, _, place = text.partition("=")
    name, _, key = reference.partition("/")
    kind, _, where = place.partition(":")
    if not (name and key and where and kind in ("env", "file")):
        raise CommandError("--secret must be NAME/KEY=env:VARIABLE or NAME/KEY=file:PATH")
    if kind == "env":
        if not os.environ.get(where):
            raise CommandError(f"--secret {reference}: the variable {where} isn't set")
        return (name, key), os.environ[where]
    try:
        return (name, key), of_user(where).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--secret {reference}: {where} can't be read: {error}") from error
