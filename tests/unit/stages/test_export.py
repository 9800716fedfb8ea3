"""What an exported model directory holds besides its weights."""

import json
from pathlib import Path

import pytest

from distillation_stages.programs.convert import require_memory
from distillation_stages.programs.export import complete_directory, write_chat_template, write_generation_config
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.limits import require_disk


@pytest.fixture
def student(tmp_path: Path) -> Path:
    """The student as its author ships it."""
    directory = tmp_path / "student"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps({"model_type": "llama", "torch_dtype": "float32", "own": 1}))
    for name in ("tokenizer.json", "chat_template.jinja", "generation_config.json", "model.safetensors"):
        (directory / name).write_text(f"the student's {name}")
    return directory


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """What MaxText's converter leaves."""
    directory = tmp_path / "model"
    directory.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (directory / name).write_text(f"MaxText's {name}")
        (directory / name).chmod(0o600)
    return directory


def test_weights_are_the_trained_ones_and_all_else_is_the_students(student: Path, model: Path) -> None:
    complete_directory(student, model, "bfloat16", student.parent)
    assert (model / "model.safetensors").read_text() == "MaxText's model.safetensors"
    for name in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
        assert (model / name).read_text() == f"the student's {name}"
    assert not (model / "tokenizer_config.json").exists(), "the student has none"


def test_the_config_says_the_exported_dtype_and_keeps_the_rest(student: Path, model: Path) -> None:
    complete_directory(student, model, "bfloat16", student.parent)
    assert json.loads((model / "config.json").read_text()) == {
        "model_type": "llama",
        "torch_dtype": "bfloat16",
        "own": 1,
    }


def test_the_template_that_was_trained_with_is_the_models_only_one(student: Path, model: Path) -> None:
    """U14, U32: a base model has none, or several; whoever serves the student must use what it has learnt."""
    complete_directory(student, model, "bfloat16", student.parent)
    settings = {"eos_token": "</s>", "chat_template": [{"name": "default", "template": "other"}]}
    (model / "tokenizer_config.json").write_text(json.dumps(settings))
    (model / "additional_chat_templates").mkdir()
    write_chat_template(model, "{{ messages }}")
    assert (model / "chat_template.jinja").read_text() == "{{ messages }}"
    written = json.loads((model / "tokenizer_config.json").read_text())
    assert written == {"eos_token": "</s>", "chat_template": "{{ messages }}"}
    assert not (model / "additional_chat_templates").exists()
    assert {path.stat().st_mode & 0o777 for path in model.iterdir()} == {0o644}


def test_every_user_may_read_the_files(student: Path, model: Path) -> None:
    complete_directory(student, model, "bfloat16", student.parent)
    assert {path.stat().st_mode & 0o777 for path in model.iterdir()} == {0o644}


@pytest.mark.parametrize("free", [None, 72_000_000_001])
def test_memory_that_suffices_or_is_not_known_is_no_matter(free: int | None) -> None:
    require_memory(7_000_000_000, free)


def test_too_little_memory_is_told_before_it_is_used_up() -> None:
    with pytest.raises(StageError, match=r"needs 67 GiB of memory, free are 64 GiB.*conversion.resources.memory"):
        require_memory(7_000_000_000, 64 * 2**30)


def test_a_full_storage_is_told_with_what_is_needed_and_what_is_free(tmp_path: Path) -> None:
    """S4."""
    with pytest.raises(StageError, match=r"needs 1100000000\.00 GB on the storage, free are") as caught:
        require_disk(tmp_path, 10**18, "the checkpoint")
    assert caught.value.reason.name == "StorageFull"


@pytest.mark.parametrize(
    ("own", "config", "written"),
    [
        ({"eos_token_id": 2, "temperature": 0.6}, {}, {"eos_token_id": [2, 7], "temperature": 0.6}),
        ({"eos_token_id": [2, 7]}, {}, {"eos_token_id": [2, 7]}),
        ({"temperature": 0.6}, {"eos_token_id": 2}, {"temperature": 0.6, "eos_token_id": 7}),
        (None, {"bos_token_id": 1, "eos_token_id": 2, "vocab_size": 9}, {"bos_token_id": 1, "eos_token_id": [2, 7]}),
        (None, {}, {"eos_token_id": 7}),
    ],
)
def test_a_server_stops_where_the_template_ends_an_answer(
    tmp_path: Path, own: dict[str, object] | None, config: dict[str, object], written: dict[str, object]
) -> None:
    """U35."""
    if own is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(own))
    write_generation_config(tmp_path, config, 7)
    assert json.loads((tmp_path / "generation_config.json").read_text()) == written
