"""Jobs of files: what ``distillation-operator local`` writes, or objects that were saved from a cluster."""

import asyncio
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distillation_api.resource import KIND
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.files import documents_of
from distillation_operator.commands.paths import inside, is_there
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
    stamp: Stamp | None
    """None where it is read again at the next look, changed or not."""
    job: Object | None
    problem: str = ""


@dataclass(frozen=True)
class _Look:
    found: dict[Path, _Known] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """Of paths as a whole."""
    notes: list[str] = field(default_factory=list)


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
            if not is_there(path):
                raise CommandError(f"--file {text(str(path))}: there is no such file or folder")
        await self.look()

    async def look(self) -> None:
        """Take what there is now; a path that can't be read, or is gone, keeps its jobs and is named as a problem."""
        self._take(await asyncio.to_thread(self._look))

    async def run(self) -> None:
        """Follow the files for good."""
        while True:
            await asyncio.sleep(SECONDS)
            await self.look()

    def report(self, key: Key, path: str) -> Path | None:
        """The file of a job's report, whose path in the storage is given; None where it isn't in the storage."""
        for file in self._known:
            if _key(file) == key:
                return inside(file.parent.parent, path)
        return None

    def _look(self) -> _Look:
        look = _Look()
        for path in self._paths:
            try:
                if path.is_dir():
                    self._look_into(path, look)
                else:
                    look.found[path] = self._read(path)
            except OSError as error:
                look.problems.append(_unreadable(path, error))
                known = {
                    file: one for file, one in self._known.items() if path in (file, file.parent, file.parent.parent)
                }
                look.found.update(known)
        return look

    def _look_into(self, folder: Path, look: _Look) -> None:
        for file in (folder / STATUS_FILE, *(folder / name / STATUS_FILE for name in sorted(os.listdir(folder)))):
            known = self._known.get(file)
            try:
                if stat.S_ISREG(file.stat().st_mode):
                    look.found[file] = self._read(file)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if known is None:
                    # It may be none of a job's, as the lost+found of a volume.
                    look.notes.append(f"{_unreadable(file.parent, error)}.")
                else:
                    look.found[file] = _Known(None, known.job, _unreadable(file, error))

    def _read(self, file: Path) -> _Known:
        """The job of a file; one that can't be read now, such as a half written one, is shown as it was. Raises OSError
        where nothing is known of the file itself."""
        told = file.stat()
        stamp = (told.st_mtime_ns, told.st_size, told.st_ino)
        known = self._known.get(file)
        if known is not None and known.stamp == stamp:
            return known
        before = known.job if known else None
        if not stat.S_ISREG(told.st_mode):
            return _Known(stamp, before, f"{file} is neither file nor folder")
        if told.st_size > _LARGEST:
            return _Known(stamp, before, f"{file} has {told.st_size:,} bytes, more than the {_LARGEST:,} that are read")
        try:
            return _Known(stamp, _job(file, file.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            return _Known(stamp, before, f"{file} can't be read: it is not text in UTF-8")
        except CommandError as error:
            return _Known(stamp, before, str(error))
        except OSError as error:
            # Rights and mounts change without a trace in the file.
            return _Known(None, before, _unreadable(file, error))

    def _take(self, look: _Look) -> None:
        self._known = look.found
        jobs = {_key(file): known.job for file, known in look.found.items() if known.job is not None}
        self._board.replace(_SCOPE, jobs)
        problems = [*look.problems, *(known.problem for known in look.found.values() if known.problem)]
        # A name of a file may be any bytes.
        self._board.tell(_SCOPE, Health(True, text("; ".join(problems)), note=text(" ".join(look.notes))))


def _unreadable(path: Path, error: OSError) -> str:
    return f"{path} can't be read: {error.strerror or error}"


def _job(file: Path, content: str) -> Object:
    """The one job of a file. Raises CommandError."""
    documents = [mapping(document.content) for document in documents_of(str(file), content)]
    if len(documents) != 1 or documents[0].get("kind") != KIND:
        raise CommandError(f"{file} holds no {KIND}, or more than one")
    return documents[0]


def _key(file: Path) -> Key:
    # By the place alone: what a file says of itself may be said by another one too.
    place = file.parent if file.name == STATUS_FILE else file
    # A name of a file may be any bytes.
    return text(os.fspath(place.parent)), text(place.name or os.fspath(place))
