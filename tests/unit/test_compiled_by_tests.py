"""Compiled programs that the tests of stages share: never those that a killed program may have written half."""

import tempfile
from pathlib import Path

import pytest

from e2e import compiled_programs

EXAMPLE = Path("cpu", "program-cache")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests keep is for them alone."""
    monkeypatch.setenv("DISTILLATION_CACHE", str(tmp_path / "kept"))


def storage_with_a_program(folder: Path) -> Path:
    file = folder / "cache" / "jax" / EXAMPLE
    file.parent.mkdir(parents=True)
    file.write_text("a program")
    return folder


def lent(storage: Path) -> list[str]:
    """What another storage begins with."""
    compiled_programs.lend(storage)
    return [path.read_text() for path in storage.rglob("*-cache")]


def test_what_a_storage_has_compiled_is_lent_to_the_next(tmp_path: Path) -> None:
    compiled_programs.keep(storage_with_a_program(tmp_path / "one"))
    assert lent(tmp_path / "other") == ["a program"]


def test_nothing_is_kept_of_a_storage_on_which_a_program_was_killed(tmp_path: Path) -> None:
    storage = storage_with_a_program(tmp_path / "one")
    compiled_programs.about_to_kill(storage)
    compiled_programs.keep(storage)
    assert lent(tmp_path / "other") == []


def test_what_is_kept_on_another_file_system_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        assert Path(memory).stat().st_dev != tmp_path.stat().st_dev, "the tests' folders are in memory too"
        monkeypatch.setenv("DISTILLATION_CACHE", memory)
        compiled_programs.keep(storage_with_a_program(tmp_path / "one"))
        assert lent(tmp_path / "other") == ["a program"]
