"""The mounted storage: paths inside it, markers, and publication that holds without atomic rename.

A small file is published by writing it whole under a name of its own, closing it, and renaming it: a reader sees it
whole or not at all. On a bucket the close makes an object of it, and the rename is one move of that object. A directory
is never renamed, since that is atomic on file systems and in hierarchical namespaces alone: its writer works in a
directory of its own (``workspace``) and the marker, written last, names it. So two writers of one stage never share a
file, and whichever marker is read names whole data.

What is unfinished bears the name of its writer, the DistillationJob that this pod works for: of a stage it has one pod
at a time (or one per shard, each with a directory of its own), so what a killed predecessor left is known and removed.
"""

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from distillation_api import reasons
from distillation_api.contract import MARKER_NAME, WRITER_ENV, StageResult, Work, work_at
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.regular_files import NotRegular, read_regular
from distillation_stages.runtime.reporting import say

MARKER_LIMIT = 64 << 20
"""Bytes: a shard with a hundred thousand chunks names them in a tenth of that."""

_FAILING = (errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO)
"""What a network file system or its sidecar answers while it is away."""
_TEMPORARY = ".tmp"


class MarkerRefused(StageError):
    """A marker that isn't believed; ``why`` quotes nothing of it."""

    def __init__(self, directory: str, why: str) -> None:
        super().__init__(
            reasons.INPUT_REFUSED,
            f"{directory}/{MARKER_NAME} is not what its stage writes: {why}; make a new DistillationJob, whose stage "
            "sets it aside and does its work again",
        )
        self.why = why


def below(root: Path, name: str) -> Path:
    """The path of a file that others have named, inside the folder. Raises StageError for a name that leads out of it.

    An object of a bucket may be called ``//etc/passwd`` or ``../x``; joined to a folder, these name other places.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in name or "\0" in name:
        raise StageError(
            reasons.NAME_OUTSIDE_FOLDER,
            f"the name {name!r} is no path inside its folder (empty, '.' or '..' between slashes, or a backslash)",
        )
    return root.joinpath(*parts)


class Storage:
    """The storage as mounted in this pod. Paths that programs exchange are relative to ``mount``."""

    def __init__(self, mount: Path) -> None:
        self.mount = mount

    def at(self, relative: str) -> Path:
        """The absolute path of a storage path; refuses one that leaves the storage."""
        path = (self.mount / relative).resolve()
        if not path.is_relative_to(self.mount.resolve()):
            raise StageError(
                reasons.PATH_OUTSIDE_STORAGE, f"path {relative!r} leaves the storage; give a path inside it"
            )
        return path

    def relative(self, path: Path) -> str:
        """The storage path of an absolute path."""
        return path.resolve().relative_to(self.mount.resolve()).as_posix()

    def read_marker(self, directory: str, work: Work | None = None) -> StageResult | None:
        """The result in the directory's done marker; None when there is none yet.

        Raises MarkerRefused for a marker that isn't whole, or isn't of ``work``: of what the directory's name says when
        that isn't given.
        """
        work = work or work_at(directory)
        try:
            content = read_regular(self.at(directory) / MARKER_NAME, MARKER_LIMIT)
        except FileNotFoundError:
            return None
        except NotRegular as what:
            raise MarkerRefused(directory, f"it is {what}") from what
        try:
            result = StageResult.model_validate_json(content)
        except ValidationError:
            # pydantic's words quote what stands there, which may be anybody's.
            raise MarkerRefused(directory, "it is no whole result of a stage") from None
        self._require_of(work, directory, result)
        return result

    def _require_of(self, work: Work | None, directory: str, result: StageResult) -> None:
        if work is not None and (result.stage, result.fingerprint) != (work.stage, work.fingerprint):
            raise MarkerRefused(
                directory, f"it is of another stage or fingerprint than {work.stage} with {work.fingerprint}"
            )
        stays = work_at(directory) is not None and (work is None or work.stays_in_its_directory)
        root = self.at(directory if stays else "")
        for path in result.outputs.values():
            if "\0" in path or not (self.mount / path).resolve().is_relative_to(root):
                raise MarkerRefused(directory, f"one of its outputs lies outside {root}")

    def finished(self, directory: str, work: Work | None = None) -> StageResult | None:
        """The result of work done before, marked as reused; None when there is none or what it names is gone.

        To be asked by the stage whose directory it is: a marker that isn't its own is set aside, so that the work is
        done again.
        """
        try:
            result = self.read_marker(directory, work)
        except MarkerRefused as refused:
            self._set_aside(directory, refused)
            return None
        if result is None or not all(self.at(path).exists() for path in result.outputs.values()):
            return None
        return result.model_copy(update={"reused": True})

    def _set_aside(self, directory: str, refused: "MarkerRefused") -> None:
        path = self.at(directory) / MARKER_NAME
        aside = path.with_name(f"{MARKER_NAME}.refused-{uuid.uuid4().hex[:12]}")
        try:
            path.rename(aside)
        except FileNotFoundError:  # another pod of this stage was quicker
            return
        except OSError as error:
            raise StageError(
                refused.reason, f"{directory}/{MARKER_NAME} has to be removed by hand ({refused.why}; {error.strerror})"
            ) from error
        say(
            f"{directory}/{MARKER_NAME} is not believed: {refused.why}. It is set aside as {aside.name}, and the work "
            "is done again"
        )

    def require_marker(self, directory: str) -> StageResult:
        """The result of an input stage. Raises StageError when its marker does not stand (yet), or isn't its own."""
        result = self.read_marker(directory)
        if result is None:
            raise StageError(
                reasons.INPUT_MISSING, f"{directory} has no {MARKER_NAME}: the stage that writes it has not ended"
            )
        return result

    def write_marker(self, directory: str, result: StageResult) -> None:
        """Publish the result as the directory's done marker. To be called last."""
        text = result.model_dump_json(by_alias=True, exclude={"start_up"})
        publish_bytes(self.at(directory) / MARKER_NAME, text.encode())

    def conclude(self, directory: str, result: StageResult, workspace: Path) -> StageResult:
        """Write the marker, unless another writer of the stage was first: its result stands and our work is removed."""
        first = self.finished(directory, Work(result.stage, result.fingerprint))
        if first is not None:
            shutil.rmtree(workspace, ignore_errors=True)
            return first
        self.write_marker(directory, result)
        return result

    def workspace(self, directory: str) -> Path:
        """A new directory inside ``directory`` that no other writer has; the marker's outputs name it.

        Those that this writer left there before are removed.
        """
        for left in _left_by_us(self.at(directory), "work-", ""):
            shutil.rmtree(left, ignore_errors=True)
        path = self.at(directory) / f"work-{_unique_name()}"
        path.mkdir(parents=True)
        return path


def publish_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all."""
    with publishing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """A temporary path next to ``path``; what was written there becomes ``path`` when the block ends without error.

    The block has to close what it writes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{_unique_name()}{_TEMPORARY}")
    try:
        yield temporary
        # For file systems. GCS FUSE writes nothing for it: there a file is durable once it was closed.
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Whether it is a file that is being written, or that a killed writer left."""
    return path.name.startswith(".") and path.name.endswith(_TEMPORARY)


def remove_temporaries(directory: Path) -> None:
    """Remove the files in it that this writer was writing when it was killed. No other of its pods may be at work
    there.
    """
    for left in _left_by_us(directory, ".", _TEMPORARY):
        left.unlink(missing_ok=True)


def writer() -> str:
    """The name of the DistillationJob that this pod works for; empty for a run by hand."""
    return os.environ.get(WRITER_ENV, "")


def _unique_name() -> str:
    return "-".join(part for part in (writer(), uuid.uuid4().hex[:12]) if part)


def _left_by_us(directory: Path, start: str, end: str) -> list[Path]:
    """Entries of the directory that are named so, with our name in between; none where we have no name."""
    if not writer() or not directory.is_dir():
        return []
    return [
        path
        for path in directory.iterdir()
        if path.name.startswith(start) and path.name.endswith(end) and f"{writer()}-" in path.name
    ]


def is_of_files(error: OSError) -> bool:
    """Whether it is about a file and its room, and not about a connection."""
    without_room = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return without_room or (error.errno in (errno.EACCES, errno.EPERM) and bool(error.filename))


def storage_error(error: OSError, mount: Path) -> StageError | None:
    """What the user can mend when the storage refuses an operation; None when it is no matter of the storage."""
    path = str(error.filename or "")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StageError(reasons.STORAGE_FULL, f"no room is left for {path or 'what is written'}; make room")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and Path(path).is_relative_to(mount):
        return StageError(
            reasons.STORAGE_ACCESS_DENIED,
            f"{path}: {os.strerror(error.errno)}. A bucket: give the pod's service account "
            "(spec.pod.serviceAccountName) the role storage.objectUser on it; a volume: it must be writable for user "
            f"{os.getuid()}",
        )
    # Reading and writing name no file; a time-out without one is rather a connection's.
    nameless = not path and error.errno != errno.ETIMEDOUT
    if error.errno in _FAILING and (nameless or Path(path).is_relative_to(mount)):
        return StageError(reasons.STORAGE_FAILED, f"{path or mount}: {os.strerror(error.errno)}")
    return None


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
