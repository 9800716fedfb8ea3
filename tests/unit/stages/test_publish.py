"""The exported model reaches its place whole, and nobody else's model is overwritten."""

from pathlib import Path

import pytest

from distillation_api.contract import MARKER_NAME, PublishProgram, StageResult
from distillation_stages.programs import publish
from distillation_stages.programs.publish import CLAIM_NAME
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from distillation_stages.services.buckets import DirectoryTree
from unit.stages.lineage import lineage
from unit.stages.stage_inputs import OUTPUT, finish, spec_of, write_model

TARGET = "published/model"


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(tmp_path)
    write_model(storage.at("exported/work/model"))
    storage.at("exported/work/model/model.safetensors").chmod(0o600)
    finish(storage, "exported", model="exported/work/model")
    return storage


def publish_model(storage: Storage, fingerprint: str = "f1") -> StageResult:
    return publish.run(spec_of(PublishProgram(model="exported", to_path=TARGET), fingerprint), storage)


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_model_lies_whole_at_its_place_with_a_manifest(storage: Storage) -> None:
    result = publish_model(storage)
    target = storage.at(TARGET)
    assert names_in(target) == [MARKER_NAME, "config.json", "model.safetensors", "tokenizer.json"]
    assert StageResult.model_validate_json((target / MARKER_NAME).read_bytes()) == result
    assert result.outputs == {"model": TARGET}
    assert sorted(result.parts) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert (target / "model.safetensors").stat().st_mode & 0o044, "others can read it"
    assert storage.finished(OUTPUT) is not None


@pytest.mark.parametrize("copied", [0, 1, 2])
def test_killed_at_any_file_it_continues(storage: Storage, monkeypatch: pytest.MonkeyPatch, copied: int) -> None:
    put: list[str] = []
    alive = copied
    original = DirectoryTree.put

    def put_until_killed(tree: DirectoryTree, name: str, path: Path) -> None:
        if len(put) == alive:
            raise Killed
        put.append(name)
        original(tree, name, path)

    monkeypatch.setattr(DirectoryTree, "put", put_until_killed)
    with pytest.raises(Killed):
        publish_model(storage)
    assert not (storage.at(TARGET) / MARKER_NAME).exists()
    assert (storage.at(TARGET) / CLAIM_NAME).exists()
    alive = 3
    publish_model(storage)
    assert put == ["config.json", "model.safetensors", "tokenizer.json"], "each file was copied once"
    assert not (storage.at(TARGET) / CLAIM_NAME).exists()


def test_published_again_it_repairs_what_was_changed(storage: Storage) -> None:
    publish_model(storage)
    (storage.at(TARGET) / "config.json").write_text("[]")
    publish_model(storage)
    assert (storage.at(TARGET) / "config.json").read_text() == "{}"


@pytest.mark.parametrize("name", ["config.json", "README.md", MARKER_NAME, CLAIM_NAME])
def test_a_place_with_something_else_is_left_alone(storage: Storage, name: str) -> None:
    storage.at(TARGET).mkdir(parents=True)
    (storage.at(TARGET) / name).write_text("theirs")
    with pytest.raises(StageError) as caught:
        publish_model(storage)
    assert caught.value.reason.name == "TargetNotEmpty"
    assert (storage.at(TARGET) / name).read_text() == "theirs"
    assert names_in(storage.at(TARGET)) == [name]


def test_another_runs_model_is_left_alone(storage: Storage) -> None:
    publish_model(storage, "f1")
    with pytest.raises(StageError, match="fingerprint f1"):
        publish_model(storage, "f2")


def test_a_model_that_is_not_whole_is_not_published(storage: Storage) -> None:
    storage.at("exported/work/model/tokenizer.json").unlink()
    with pytest.raises(StageError) as caught:
        publish_model(storage)
    assert caught.value.reason.name == "NoTokenizer"
    assert not storage.at(TARGET).exists()


def test_a_target_must_be_named(storage: Storage) -> None:
    with pytest.raises(StageError) as caught:
        publish.run(spec_of(PublishProgram(model="exported")), storage)
    assert caught.value.reason.name == "NoTarget"


def test_the_published_card_has_the_held_out_scores(storage: Storage) -> None:
    storage.at("exported/work/model/README.md").write_text("the card before the evaluation")
    scores = {"crossEntropyBefore": 4.0, "crossEntropyAfter": 3.25}
    storage.write_marker("evaluated", StageResult(stage="evaluate", fingerprint="e", metrics=scores))
    program = PublishProgram(model="exported", to_path=TARGET, evaluated="evaluated", lineage=lineage())
    result = publish.run(spec_of(program), storage)
    card = (storage.at(TARGET) / "README.md").read_text()
    assert "| 4 | 3.25 |" in card
    assert "README.md" in result.parts
    assert storage.at("exported/work/model/README.md").read_text() == "the card before the evaluation"
