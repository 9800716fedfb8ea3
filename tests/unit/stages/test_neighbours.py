"""A path that leads to nothing is answered with its field and with what lies there."""

from pathlib import Path

import pytest

from distillation_api.contract import FetchProgram, PrepareProgram, Source, StageSpec
from distillation_stages.programs import fetch, prepare
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.neighbours import not_found
from distillation_stages.runtime.storage import Storage

FIELD = "spec.student.source.path"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    for name in ("smollm2", "smollm2-6-layers"):
        (tmp_path / "models" / name).mkdir(parents=True)
    (tmp_path / "models" / "notes.txt").write_text("n")
    return Storage(tmp_path)


def asked(storage: Storage, path: str) -> str:
    return not_found(storage, path, FIELD, "directory")


def test_field_value_and_neighbours_are_named(storage: Storage) -> None:
    text = asked(storage, "models/nothing")
    assert text.startswith("spec.student.source.path is 'models/nothing', and there is no such directory")
    assert text.endswith("'models' has 'notes.txt', 'smollm2', 'smollm2-6-layers'")


def test_the_nearest_name_is_proposed_at_the_level_that_is_wrong(storage: Storage) -> None:
    assert "did you mean 'smollm2'?" in asked(storage, "models/smolm2")
    assert "did you mean 'models'?; its root has 'models'" in asked(storage, "model/smollm2/deeper")


def test_a_file_is_no_directory(storage: Storage) -> None:
    assert asked(storage, "models/notes.txt") == f"{FIELD} is 'models/notes.txt', which is no directory in the storage"


def test_an_empty_storage(tmp_path: Path) -> None:
    assert asked(Storage(tmp_path), "a/b").endswith("its root is empty or can't be listed")


def test_many_and_hostile_names_are_short_and_printable(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}\x1b[2J\nname").mkdir()
    text = asked(Storage(tmp_path), "x")
    assert text.isprintable() and text.endswith(" and 22 more")


def test_what_lies_outside_the_storage_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "outside" / "secret").mkdir(parents=True)
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(StageError) as caught:
        asked(Storage(mount), "link/model")
    assert caught.value.reason.name == "PathOutsideStorage" and "secret" not in caught.value.message


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_model_that_is_not_there(storage: Storage, role: str) -> None:
    program = FetchProgram.model_validate({"source": Source(path="models/smollm"), "role": role})
    spec = StageSpec(stage=f"fetch-{role}", fingerprint="f" * 16, output="out/f", program=program)
    with pytest.raises(StageError, match=f"spec.{role}.source.path is 'models/smollm'.*'smollm2'") as caught:
        fetch.run(spec, storage)
    assert caught.value.reason.name == "ModelNotFound"


def test_a_dataset_that_is_not_there(storage: Storage) -> None:
    program = PrepareProgram(source=Source(path="models/note.txt"), prompt_column="q", response_column="a", holdout=1)
    spec = StageSpec(stage="prepare-dataset", fingerprint="f" * 16, output="out/p", program=program)
    with pytest.raises(StageError, match=r"spec.dataset.source.path is .*did you mean 'notes.txt'") as caught:
        prepare.run(spec, storage)
    assert caught.value.reason.name == "DatasetNotFound"
