"""Two writers of one stage: one's work is used, and nothing of the other's is left to be mistaken for it."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from distillation_api.contract import WRITER_ENV, StageResult
from distillation_stages.data.packing import one_by_one, write_sequences
from distillation_stages.data.tables import PREPARED, write_table
from distillation_stages.data.token_rows import TokenRow
from distillation_stages.runtime.storage import Storage, is_of_files, publish_bytes, publishing, storage_error
from distillation_stages.services.buckets import DirectoryTree


def write(storage: Storage, text: str, fingerprint: str = "f1") -> tuple[StageResult, Path]:
    """A writer's work just before its end."""
    workspace = storage.workspace("out")
    (workspace / "part").write_text(text)
    outputs = {"part": storage.relative(workspace / "part")}
    return StageResult(stage="s", fingerprint=fingerprint, outputs=outputs), workspace


def test_the_first_writer_to_end_is_the_one_whose_work_is_used(tmp_path: Path) -> None:
    """S1: a directory is never renamed; the marker that names it is its commit."""
    storage = Storage(tmp_path)
    slow, slow_workspace = write(storage, "slow")
    quick, quick_workspace = write(storage, "quick")
    assert storage.conclude("out", quick, quick_workspace) == quick
    told = storage.conclude("out", slow, slow_workspace)
    assert told.outputs == quick.outputs and told.reused
    assert storage.read_marker("out") == quick
    assert quick_workspace.exists() and not slow_workspace.exists()


def test_a_marker_whose_outputs_are_gone_is_replaced(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    lost, lost_workspace = write(storage, "lost")
    storage.conclude("out", lost, lost_workspace)
    (lost_workspace / "part").unlink()
    again, workspace = write(storage, "again")
    assert storage.conclude("out", again, workspace) == again
    assert storage.read_marker("out") == again


def test_what_a_killed_pod_of_the_job_left_is_removed_and_nothing_of_another_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(tmp_path)
    monkeypatch.setenv(WRITER_ENV, "others")
    _, others = write(storage, "another job's")
    monkeypatch.setenv(WRITER_ENV, "ours")
    _, left = write(storage, "ours, killed")
    _, workspace = write(storage, "ours")
    assert others.exists() and workspace.exists() and not left.exists()


def test_a_killed_pods_temporary_files_are_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inner").mkdir()
    killed = []
    for writer in ("others", "ours"):
        monkeypatch.setenv(WRITER_ENV, writer)
        for name in ("weights", "inner/more"):
            killed.append(publishing(tmp_path / name))
            killed[-1].__enter__().write_text("half of")
    (tmp_path / ".users.tmp").write_text("a user's")
    DirectoryTree(tmp_path).remove_unfinished()
    left = [path.name for path in tmp_path.rglob("*.tmp")]
    assert len(left) == 3 and not any("ours-" in name for name in left), left


def test_without_a_name_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WRITER_ENV, raising=False)
    with publishing(tmp_path / "weights") as temporary:
        temporary.write_text("being written")
        DirectoryTree(tmp_path).remove_unfinished()
        assert temporary.exists()


@pytest.mark.parametrize(
    ("number", "path", "reason"),
    [
        (errno.EACCES, "/storage/out", "StorageAccessDenied"),
        (errno.EROFS, "/storage/out", "StorageAccessDenied"),
        (errno.ENOSPC, "/storage/out", "StorageFull"),
        (errno.EIO, "/storage/out", "StorageFailed"),
        (errno.ENOTCONN, "/storage/out", "StorageFailed"),
        (errno.ESTALE, "/storage/out", "StorageFailed"),
    ],
)
def test_what_the_storage_refuses_is_told_with_what_is_missing(number: int, path: str, reason: str) -> None:
    """M14, S4."""
    refusal = storage_error(OSError(number, os.strerror(number), path), Path("/storage"))
    assert refusal is not None and refusal.reason.name == reason and path in refusal.message


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.EREMOTEIO])
def test_a_mount_that_fails_while_a_file_is_read_names_none(number: int) -> None:
    """Python tells the name of what is opened only."""
    refusal = storage_error(OSError(number, os.strerror(number)), Path("/storage"))
    assert refusal is not None and refusal.reason.name == "StorageFailed" and "/storage" in refusal.message
    assert storage_error(OSError(errno.ETIMEDOUT, "a connection"), Path("/storage")) is None


@pytest.mark.parametrize(
    ("error", "of_files"),
    [
        (OSError(errno.ENOSPC, "no room"), True),
        (OSError(errno.EACCES, "denied", "/storage/x"), True),
        (OSError(errno.EACCES, "the network's policy"), False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), False),
        (OSError("no number"), False),
    ],
)
def test_a_full_disk_is_no_outage_of_the_hub(error: OSError, of_files: bool) -> None:
    assert is_of_files(error) is of_files


@pytest.mark.parametrize(
    ("number", "path"), [(errno.EACCES, "/etc/shadow"), (errno.EIO, "/dev/sda"), (errno.EINVAL, "/storage/out")]
)
def test_other_errors_are_no_matter_of_the_storage(number: int, path: str) -> None:
    assert storage_error(OSError(number, os.strerror(number), path), Path("/storage")) is None


ROW = TokenRow(np.ones(4, np.int32), np.ones(4, np.bool_))
PUBLISHED: dict[str, Callable[[Path], object]] = {
    "bytes": lambda folder: publish_bytes(folder / "target" / "file", b"x"),
    "table": lambda folder: write_table(folder / "target" / "file", PREPARED, [{"row": 1, "prompt": []}]),
    "sequences": lambda folder: write_sequences(one_by_one([ROW]), 8, 0, folder / "target"),
    "folder": lambda folder: DirectoryTree(folder / "target", folder).put("file", folder / "source"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_published_was_closed_before_it_is_renamed(tmp_path: Path, name: str) -> None:
    """On a bucket only a close makes an object of a file; fsync doesn't."""
    (tmp_path / "source").write_bytes(b"x")
    renamed: list[Path] = []
    open_then: list[Path] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename" and str(arguments[0]).startswith(str(tmp_path)):
            renamed.append(Path(str(arguments[0])))
            open_then.extend(path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink())

    sys.addaudithook(hook)  # It stays until the process ends.
    PUBLISHED[name](tmp_path)
    assert renamed
    assert set(renamed).isdisjoint(open_then)
