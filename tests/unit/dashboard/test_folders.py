"""Jobs of files: local runs, half-written ones, and files of anything."""

import asyncio
import os
import resource
from collections.abc import Callable
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

ODD = (
    "a: !!bool x",
    "a: !!timestamp x",
    "a: 0x_",
    "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" if n else "a0: &a0 {k: 1}" for n in range(10)),
)


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


@pytest.mark.parametrize(
    "content", ["", "[1, 2]", "kind: Pod", "a: &a [*a]", "\x00", "!!python/object:os.system {}", *ODD]
)
def test_files_of_anything_else_are_named(tmp_path: Path, content: str) -> None:
    board = Board()
    write(tmp_path, "odd", content)
    write(tmp_path, "good", job("good"))
    assert looked(board, Folders(board, [str(tmp_path)])) == {"good": "Unseen"}
    assert "odd" in board.health.problem


async def twice(folders: Folders, change: Callable[[], object]) -> None:
    """Two looks, and a change between them."""
    await folders.connect()
    change()
    await folders.look()


@pytest.mark.parametrize("given", ["storage", "storage/one", "storage/one/status.yaml"])
def test_a_path_that_is_gone_is_shown_as_it_was_and_named(tmp_path: Path, given: str) -> None:
    (tmp_path / "storage").mkdir()
    write(tmp_path / "storage", "one", job("one", dashboard_jobs.running()))
    board = Board()
    folders = Folders(board, [str(tmp_path / given)])
    asyncio.run(twice(folders, lambda: (tmp_path / "storage").rename(tmp_path / "elsewhere")))
    assert [key[1] for key, _, _ in board.jobs()] == ["one"]
    assert board.health.problem == f"{tmp_path / given} can't be read: No such file or directory"
    (tmp_path / "elsewhere").rename(tmp_path / "storage")
    assert looked(board, folders) == {"one": "Running"}
    assert board.health.problem == ""


def test_one_job_that_cant_be_read_takes_nothing_from_the_others(tmp_path: Path) -> None:
    board = Board()
    folders = Folders(board, [str(tmp_path)])
    for name in ("one", "two"):
        write(tmp_path, name, job(name, dashboard_jobs.running()))

    def change() -> None:
        write(tmp_path, "two", job("two", dashboard_jobs.complete()))
        (tmp_path / "one").rename(tmp_path.parent / "away")
        (tmp_path / "one").symlink_to(tmp_path / "one")

    asyncio.run(twice(folders, change))
    assert {key[1]: row(key, made).phase for key, _, made in board.jobs()} == {"one": "Running", "two": "Complete"}
    assert board.health.problem == f"{tmp_path}/one/status.yaml can't be read: Too many levels of symbolic links"


def test_a_folder_that_never_could_be_read_is_a_note(tmp_path: Path) -> None:
    board = Board()
    write(tmp_path, "one", job("one"))
    (tmp_path / "lost+found").symlink_to("lost+found")
    assert looked(board, Folders(board, [str(tmp_path)])) == {"one": "Unseen"}
    assert board.health.problem == ""
    assert f"{tmp_path}/lost+found can't be read" in board.health.note


def test_what_could_not_be_opened_is_opened_at_the_next_look(tmp_path: Path) -> None:
    board = Board()
    file = write(tmp_path, "one", job("one"))
    folders = Folders(board, [str(file)])

    async def look() -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        next_one = os.open(os.devnull, os.O_RDONLY)
        os.close(next_one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, limits[1]))
        try:
            await folders.look()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert board.health.problem == f"{file} can't be read: Too many open files"
        await folders.look()

    asyncio.run(look())
    assert [key[1] for key, _, _ in board.jobs()] == ["one"]
    assert board.health.problem == ""


def test_a_pipe_and_a_name_of_any_bytes_are_named(tmp_path: Path) -> None:
    board = Board()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    odd.write_text("kind: Pod")
    asyncio.run(Folders(board, [str(pipe), str(odd)]).connect())
    assert f"{pipe} is neither file nor folder; {tmp_path}/\N{REPLACEMENT CHARACTER} holds no" in board.health.problem


def test_a_circle_of_links_is_no_report(tmp_path: Path) -> None:
    write(tmp_path, "one", job("one", dashboard_jobs.complete()))
    (tmp_path / "circle").symlink_to("circle")
    folders = Folders(Board(), [str(tmp_path)])
    asyncio.run(folders.connect())
    assert folders.report((str(tmp_path), "one"), "circle") is None


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


def test_a_path_of_which_the_system_does_not_tell_ends_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tmp_path / ("x" * 300)
    assert main(["dashboard", "--file", str(long), "--port", "0"]) == 1
    assert capsys.readouterr().err == f"distillation-operator: {long} can't be read: File name too long\n"
