"""Vocabularies that don't agree are refused before an accelerator is asked for."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distillation_api.contract import CheckTokenizersProgram, StageResult, StageSpec
from distillation_stages.models.vocabularies import check_tokens, vocabulary_size
from distillation_stages.programs import check_tokenizers
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import finish

VOCABULARY = {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "c": 4}


def tokenizer(vocabulary: dict[str, int] = VOCABULARY, **special: int | None) -> Any:
    names = {number: token for token, number in vocabulary.items()}
    ids = {"bos_token_id": 0, "eos_token_id": 1, "unk_token_id": None, "pad_token_id": None} | special
    return SimpleNamespace(get_vocab=lambda: vocabulary, convert_ids_to_tokens=names.__getitem__, **ids)


def test_the_same_tokens_are_counted() -> None:
    assert check_tokens(tokenizer(), tokenizer()) == 5


def test_a_padding_token_of_its_own_is_no_difference() -> None:
    check_tokens(tokenizer(pad_token_id=1), tokenizer(pad_token_id=2))


@pytest.mark.parametrize(
    ("student", "named"),
    [
        ({**VOCABULARY, "b": 4, "c": 3}, r"2 of 5 tokens: 'b' is 3 for the teacher, 4 for the student; 'c' is 4 .* 3"),
        ({**VOCABULARY, "d": 5}, "'d' is no token for the teacher, 5 for the student"),
        ({"<s>": 0, "</s>": 1, "a": 2, "b": 3}, "'c' is 4 for the teacher, no token for the student"),
        ({f"other{number}": number for number in range(40)}, "and 40 more"),
    ],
)
def test_tokens_that_differ_are_named(student: dict[str, int], named: str) -> None:
    with pytest.raises(StageError, match=named) as caught:
        check_tokens(tokenizer(), tokenizer(student))
    assert caught.value.reason.name == "VocabulariesDiffer"
    assert len(caught.value.message) < 700


def test_another_end_of_sequence_is_a_difference() -> None:
    with pytest.raises(StageError, match=r"eos_token is '</s>' \(1\) for the teacher and none for the student"):
        check_tokens(tokenizer(), tokenizer(eos_token_id=None))


@pytest.mark.parametrize(
    ("config", "size"), [({"vocab_size": 320}, 320), ({"model_type": "x", "text_config": {"vocab_size": 7}}, 7)]
)
def test_the_size_is_that_of_the_logits(tmp_path: Path, config: dict[str, Any], size: int) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert vocabulary_size(tmp_path) == size


def test_a_config_without_a_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(StageError, match="no vocab_size"):
        vocabulary_size(tmp_path)


# The program


def spec() -> StageSpec:
    program = CheckTokenizersProgram(teacher="teacher", student="student")
    return StageSpec(stage="check-tokenizers", fingerprint="f", output="check", program=program)


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A storage with two models that agree."""
    storage = Storage(tmp_path)
    for name in ("teacher", "student"):
        write_config(storage, name, 384)
        finish(storage, name, model=f"{name}/model")
    monkeypatch.setattr(check_tokenizers, "load_tokenizer", lambda model: tokenizer())
    return storage


def write_config(storage: Storage, name: str, size: int) -> None:
    model = storage.mount / name / "model"
    model.mkdir(parents=True, exist_ok=True)
    (model / "config.json").write_text(json.dumps({"vocab_size": size}))


def test_models_that_agree_pass(storage: Storage) -> None:
    result = check_tokenizers.run(spec(), storage)
    assert isinstance(result, StageResult)
    assert result.counts == {"tokens": 5}
    assert storage.read_marker("check") == result


def test_a_padded_vocabulary_is_another_size(storage: Storage) -> None:
    """M23: 151936 in a small Qwen2.5, 152064 in a large one."""
    write_config(storage, "teacher", 152064)
    write_config(storage, "student", 151936)
    with pytest.raises(StageError, match="152064 for the teacher and 151936 for the student") as caught:
        check_tokenizers.run(spec(), storage)
    assert caught.value.reason.name == "VocabulariesDiffer"
    assert storage.read_marker("check") is None
