"""Jobs of files: local runs, half-written ones, and files of anything."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillation_operator.cli import main
from distillation_operator.dashboard.board import Board
from distillation_operator.dashboard.folders import Folders
from distillation_operator.dashboard.row import row
from support import dashboard_jobs
from support.dashboard_jobs import job


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name / "status.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def looked(board: Board, folders: Folders) -> dict[str, str]:
    """Name and phase of each job, after one more look."""
    asyncio.run(folders.connect())
    return {key[1]: row(key, made).phase for key, _, made in board.jobs()}


def test_a_folder_of_local_runs_is_followed(tmp_path: Path) -> None:
    board = Board()
    folders = Folders(board, [str(tmp_path)])
    path = write(tmp_path, "one", job("one", dashboard_jobs.running()))
    assert looked(board, folders) == {"one": "Running"}
    write(tmp_path, "two words", job("two", dashboard_jobs.failed()))
    assert looked(board, folders) == {"one": "Running", "two words": "Failed"}
    path.unlink()
    assert looked(board, folders) == {"two words": "Failed"}


def test_a_file_that_cant_be_read_now_is_shown_as_it_was_and_named(tmp_path: Path) -> None:
    board = Board()
    folders = Folders(board, [str(tmp_path)])
    path = write(tmp_path, "one", job("one", dashboard_jobs.running()))
    looked(board, folders)
    path.write_text("apiVersion: [")
    assert looked(board, folders) == {"one": "Running"}
    assert str(path) in board.health.problem
    path.write_text(yaml.safe_dump(job("one", dashboard_jobs.complete())))
    assert looked(board, folders) == {"one": "Complete"}
    assert board.health.problem == ""


@pytest.mark.parametrize("content", ["", "[1, 2]", "kind: Pod", "a: &a [*a]", "\x00", "!!python/object:os.system {}"])
def test_files_of_anything_else_are_named(tmp_path: Path, content: str) -> None:
    board = Board()
    write(tmp_path, "odd", content)
    write(tmp_path, "good", job("good"))
    assert looked(board, Folders(board, [str(tmp_path)])) == {"good": "Unseen"}
    assert "odd" in board.health.problem


def test_runs_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    board = Board()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, "one", job("one"))
    asyncio.run(Folders(board, [str(tmp_path / "a"), str(tmp_path / "b")]).connect())
    assert {key for key, _, _ in board.jobs()} == {(str(tmp_path / "a"), "one"), (str(tmp_path / "b"), "one")}


def test_a_report_is_found_inside_the_storage_alone(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    storage.mkdir()
    write(storage, "one", job("one", dashboard_jobs.complete()))
    (storage / "report.html").write_text("it")
    (tmp_path / "secret").write_text("secret")
    (storage / "link").symlink_to(tmp_path / "secret")
    folders = Folders(Board(), [str(storage)])
    asyncio.run(folders.connect())
    key = (str(storage), "one")
    assert folders.report(key, "report.html") == (storage / "report.html").resolve()
    for outside in ("../secret", str(tmp_path / "secret"), "link", "nothing", ".", "one\x00"):
        assert folders.report(key, outside) is None
    assert folders.report((str(storage), "two"), "report.html") is None


def test_a_path_that_isnt_there_ends_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "missing"
    assert main(["dashboard", "--file", str(missing), "--port", "0"]) == 1
    assert f"--file {missing}: there is no such file or folder" in capsys.readouterr().err
