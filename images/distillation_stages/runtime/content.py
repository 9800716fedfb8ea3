"""What a stage reads of another: the files that its marker names and no others, and these as they were written.

Digests cost a reading of all bytes. CPU stages pay that (``whole``); while an accelerator waits, only files of at most
``SMALL`` bytes are hashed, and of the others the sizes are added up: preflight has hashed them before.
"""

import hashlib
import os
import re
import threading
import time
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path, PurePosixPath

from distillation_api import reasons
from distillation_api.contract import StageResult
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.regular_files import inside
from distillation_stages.runtime.reporting import say
from distillation_stages.runtime.storage import Storage

SMALL = 64 << 20
"""Bytes of a file that is hashed while an accelerator waits."""

READERS = 4
"""Files that are hashed at once: one reader doesn't fill the way to a bucket."""

SECONDS_TO_TELL = 5.0

Digests = Mapping[Path, str]
"""SHA-256 by the file that a marker names; empty where nobody told it (of a run by hand)."""


def digests_below(folder: Path, directory: Path) -> dict[str, str]:
    """The parts of a marker: SHA-256 of each file in the folder, by path relative to the stage's directory."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): digest for path, digest in _hashed(files)}


def listed(storage: Storage, directory: str, marker: StageResult, below: Path | None = None) -> Digests:
    """The files that the marker of the directory names, in the order of their names: all, or those in a folder of the
    stage's own. Raises StageError for a link that leads out of the storage, and in such a folder for any.
    """
    base, files = storage.at(_named_from(directory)), {}
    for name, digest in marker.parts.items():
        path = Path(os.path.normpath(base / name))
        if below is None or path.is_relative_to(below):
            found = inside(storage.mount, path)
            if below is not None and found != path:
                raise changed(directory, path, "it is a link")
            files[path] = digest
    if marker.parts and not files:
        raise changed(directory, below or base, "its marker names no file in it")
    return {path: files[path] for path in sorted(files)}


def _named_from(directory: str) -> str:
    """The stage's directory, which the names of a shard's parts begin at too."""
    path = PurePosixPath(directory)
    return str(path.parent if re.fullmatch(r"shard-[0-9]+", path.name) else path)


def require_size(directory: str, marker: StageResult, files: Digests) -> None:
    """Raises StageError when the files, which are all that the marker counts, have not its number of bytes."""
    wanted = marker.counts.get("bytes")
    found = sum(_size(directory, path) for path in files)
    if wanted is not None and found != wanted:
        raise StageError(
            reasons.CONTENT_CHANGED,
            f"the {len(files)} files that {directory} names have {found} bytes, not {wanted} as when they were "
            f"written; {_remedy(directory)}",
        )


def require_unchanged(directory: str, files: Digests, whole: bool) -> None:
    """Raises StageError for a file that isn't what the directory's marker says. ``whole``: also for large ones."""
    started = time.monotonic()
    sizes = {path: _size(directory, path) for path in files}
    hashed = [path for path, size in sizes.items() if files[path] and (whole or size <= SMALL)]
    with closing(_hashed(hashed)) as digests:
        for path, digest in digests:
            if digest != files[path]:
                raise changed(directory, path, f"its SHA-256 is {digest[:12]}..., not {files[path][:12]}...")
    seconds = time.monotonic() - started
    if seconds > SECONDS_TO_TELL:
        say(f"{directory}: {sum(sizes[path] for path in hashed)} bytes are as they were written ({seconds:.0f} s)")


def changed(directory: str, path: Path, what: str) -> StageError:
    """The verdict on a file that isn't what the directory's marker says."""
    return StageError(reasons.CONTENT_CHANGED, f"{path} isn't what {directory} names: {what}; {_remedy(directory)}")


def _hashed(files: list[Path]) -> Generator[tuple[Path, str]]:
    """Each file with its SHA-256. Whoever stops reading, or is terminated, doesn't wait for the rest."""
    stop = threading.Event()

    def sha256(path: Path) -> str:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while not stop.is_set() and (block := file.read(1 << 20)):
                digest.update(block)
        return digest.hexdigest()

    with ThreadPoolExecutor(READERS) as pool:
        try:
            yield from zip(files, pool.map(sha256, files), strict=True)
        finally:
            stop.set()


def _size(directory: str, path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError as error:
        raise changed(directory, path, "it is gone") from error


def _remedy(directory: str) -> str:
    again = f"remove the folder {directory} and make a new DistillationJob, whose stage does its work again"
    if not directory.startswith("fetch-"):
        return again
    # What else was made of the model is found by the same name, and is of the old content.
    return f"{again}. A model that was meant to change needs a path or revision of its own"
