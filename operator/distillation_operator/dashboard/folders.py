"""Jobs of files: what ``distillation-operator local`` writes, or objects that were saved from a cluster."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distillation_api.resource import KIND
from distillation_operator.commands.errors import CommandError
from distillation_operator.dashboard.board import Board, Health
from distillation_operator.dashboard.lenient import Object, mapping, text
from distillation_operator.dashboard.row import Key

STATUS_FILE = "status.yaml"
SECONDS = 1.0
"""Between two looks at the files."""
_LARGEST = 8 * 2**20
"""Bytes of a file: several times what the API server takes of an object."""
_SCOPE = "files"

Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class _Known:
    stamp: Stamp
    job: Object | None
    problem: str


class Folders:
    """A source of jobs: the named files, and ``status.yaml`` of each folder in the named folders and of those
    themselves."""

    def __init__(self, board: Board, paths: Sequence[str]) -> None:
        self._board = board
        self._paths = [Path(path) for path in paths]
        self._known: dict[Path, _Known] = {}
        board.tell(_SCOPE, Health())

    async def connect(self) -> None:
        """Look at what there is. Raises CommandError."""
        for path in self._paths:
            if not path.exists():
                raise CommandError(f"--file {text(str(path))}: there is no such file or folder")
        self._take(await asyncio.to_thread(self._look))

    async def run(self) -> None:
        """Follow the files for good."""
        while True:
            await asyncio.sleep(SECONDS)
            self._take(await asyncio.to_thread(self._look))

    def report(self, key: Key, inside: str) -> Path | None:
        """The file of a job's report, whose path in the storage is given; None where it isn't in the storage."""
        for file in self._known:
            if _key(file) == key:
                return _inside(file.parent.parent, inside)
        return None

    def _look(self) -> dict[Path, _Known]:
        found: dict[Path, _Known] = {}
        for file in self._files():
            try:
                told = file.stat()
                stamp = (told.st_mtime_ns, told.st_size, told.st_ino)
                known = self._known.get(file)
                found[file] = known if known and known.stamp == stamp else _read(file, stamp, known)
            except OSError:
                # Gone since it was listed.
                continue
        return found

    def _files(self) -> Iterator[Path]:
        for path in self._paths:
            if not path.is_dir():
                yield path
                continue
            yield from (file for file in (path / STATUS_FILE, *sorted(path.glob(f"*/{STATUS_FILE}"))) if file.is_file())

    def _take(self, found: dict[Path, _Known]) -> None:
        self._known = found
        jobs = {_key(file): known.job for file, known in found.items() if known.job is not None}
        self._board.replace(_SCOPE, jobs)
        wrong = "; ".join(known.problem for known in found.values() if known.problem)
        self._board.tell(_SCOPE, Health(True, wrong))


def _read(file: Path, stamp: Stamp, known: _Known | None) -> _Known:
    """The job of a file; one that can't be read now, such as a half written one, is shown as it was."""
    before = known.job if known else None
    if stamp[1] > _LARGEST:
        return _Known(stamp, before, f"{file} has {stamp[1]:,} bytes, more than the {_LARGEST:,} that are read")
    try:
        content: Any = yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        return _Known(stamp, before, f"{file} can't be read: {' '.join(text(str(error), 200).split())}")
    job = mapping(content)
    if job.get("kind") != KIND:
        return _Known(stamp, before, f"{file} holds no {KIND}")
    return _Known(stamp, job, "")


def _inside(storage: Path, path: str) -> Path | None:
    """A file of the storage; None for what isn't one, or lies elsewhere."""
    try:
        root = storage.resolve()
        found = (root / path).resolve()
        return found if found.is_relative_to(root) and found.is_file() else None
    except (OSError, ValueError):
        return None


def _key(file: Path) -> Key:
    # By the place alone: what a file says of itself may be said by another one too.
    place = file.parent if file.name == STATUS_FILE else file
    # A name of a file may be any bytes.
    return text(os.fspath(place.parent)), text(place.name or os.fspath(place))
