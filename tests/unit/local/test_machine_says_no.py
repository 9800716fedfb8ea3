"""What this machine refuses, in a sentence: no traceback is for a user."""

import platform
import pwd

import pytest

from distillation_operator.cli import main
from support.local_place import Place


def test_another_system_is_refused_before_anything_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert main(["local", "/nowhere.yaml", "--cores", "0"]) == 1
    assert "local runs on Linux; this is Darwin." in capsys.readouterr().err


@pytest.mark.parametrize("storage", ["~/storage", "~nobody-of-this-name/storage", "/storage"])
def test_a_user_without_a_home_reads_what_to_give(
    place: Place, storage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither for the storage nor for the environments, which are in a home too."""
    for name in ("HOME", "XDG_CACHE_HOME", "DISTILLATION_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert main(["local", str(place.file), "--storage", storage]) == 1
    assert "HOME" in capsys.readouterr().err


def test_a_storage_below_a_file_is_refused_by_its_name(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["local", str(place.file), "--storage", f"{place.file}/storage", *place.options]) == 1
    err = capsys.readouterr().err
    assert f"{place.file}/storage" in err
    assert "Not a directory" in err


def test_a_folder_for_scratch_that_cannot_be_made_is_refused_by_its_name(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/dev/null/tmp")
    assert place.local() == 1
    assert "/dev/null/tmp can't be written: Not a directory" in capsys.readouterr().err


def test_an_error_of_the_disk_that_nothing_foresaw_is_a_sentence(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of the logs is a file."""
    with place.folder.locked():
        place.folder.logs.rmdir()
        place.folder.logs.touch()
    assert place.local() == 1
    err = capsys.readouterr().err
    assert str(place.folder.logs) in err
