"""The stage that fetches a model finds MaxText's name of it, or refuses it, before its weights are read."""

import json
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from distillation_api.contract import STAGE_SPEC_ENV, ConvertProgram, FetchProgram, Source, StageFailure, StageResult
from distillation_stages.__main__ import main
from distillation_stages.models.model_config import read_config
from distillation_stages.programs import convert, fetch
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.reporting import Reporter
from distillation_stages.runtime.storage import Storage
from unit.stages.model_configs import MODELS
from unit.stages.stage_inputs import OUTPUT, CountingTree, spec_of, write_model


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


def fetching(role: Literal["teacher", "student"] = "student", name: str | None = None, **members: Any) -> FetchProgram:
    members = {"for_max_text": True, **members}
    return FetchProgram(source=Source(path="model"), role=role, max_text_model=name, **members)


def lies(storage: Storage, model: str) -> None:
    """A model of these sizes, in the storage."""
    write_model(storage.at("model"))
    storage.at("model/config.json").write_text(json.dumps(MODELS[model]))


def test_the_name_is_told_in_the_result_and_in_the_log(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    lies(storage, "Qwen3-4B")
    result = fetch.run(spec_of(fetching()), storage)
    assert result.settings == {"model_name": "qwen3-4b"}
    assert storage.read_marker(OUTPUT) == result
    assert "MaxText's name of the student: qwen3-4b, found from config.json" in capsys.readouterr().err


@pytest.mark.parametrize("name", [None, "llama3.1-8b", "llama3.1-8b-Instruct"])
def test_what_the_result_says_follows_from_the_files_alone(
    storage: Storage, name: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Jobs that give different names share it."""
    lies(storage, "Llama-2-7b")
    assert fetch.run(spec_of(fetching(name=name)), storage).settings == {"model_name": "llama2-7b"}
    assert ("as the manifest says" if name else "found from config.json") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "role", "name", "reason", "told"),
    [
        ("Qwen3-4B", "student", "llama2-7b", "MaxTextModelContradicted", "spec.student.maxTextModel is 'llama2-7b'"),
        ("Qwen3-4B", "teacher", "llama2-7b", "MaxTextModelContradicted", "spec.teacher.maxTextModel is 'llama2-7b'"),
        ("Phi-3-mini", "student", None, "ModelNotSupported", "doesn't train"),
        ("Phi-3-mini", "teacher", None, "ModelNotSupported", "doesn't run"),
        ("Olmo-3-7B", "student", "olmo3-7b", "ModelNotSupported", "can't convert back"),
    ],
)
def test_no_weights_are_downloaded_of_a_model_that_is_refused(
    tmp_path: Path, model: str, role: Literal["teacher", "student"], name: str | None, reason: str, told: str
) -> None:
    write_model(tmp_path / "bucket")
    (tmp_path / "bucket" / "config.json").write_text(json.dumps(MODELS[model]))
    bucket = CountingTree(tmp_path / "bucket")
    check = partial(fetch.check_files, fetching(role, name))
    with pytest.raises(StageError, match=told) as caught:
        fetch.download_tree(bucket, tmp_path / "local", Reporter("fetch", "bytes"), check)
    assert (caught.value.reason.name, caught.value.reason.is_final) == (reason, True)
    assert bucket.copied == ["config.json", "tokenizer.json"]


@pytest.mark.parametrize("model", ["Phi-3-mini", "Mistral-7B-v0.3", "Olmo-3-7B", "Qwen3-4B"])
def test_a_teacher_that_only_answers_may_be_any_model(storage: Storage, model: str) -> None:
    lies(storage, model)
    result = fetch.run(spec_of(fetching("teacher", for_max_text=False)), storage)
    assert result.settings == ({} if model in ("Phi-3-mini", "Mistral-7B-v0.3") else result.settings)
    assert result.outputs == {"model": "model"}


def test_a_quantised_teacher_is_refused_where_its_logits_are_matched(storage: Storage) -> None:
    """U16."""
    lies(storage, "Qwen3-4B")
    storage.at("model/config.json").write_text(json.dumps({**MODELS["Qwen3-4B"], "quantization_config": {"bits": 4}}))
    with pytest.raises(StageError) as caught:
        fetch.run(spec_of(fetching("teacher")), storage)
    assert caught.value.reason.name == "QuantisedModel"


# What is found done.


@pytest.fixture
def started(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Starts the program as its pod does, and returns the termination message."""

    def start(program: FetchProgram) -> Any:
        monkeypatch.setenv(STAGE_SPEC_ENV, spec_of(program).model_dump_json())
        monkeypatch.setenv("STORAGE_MOUNT", str(storage.mount))
        monkeypatch.setenv("TERMINATION_LOG", str(tmp_path / "message"))
        main()
        return json.loads((tmp_path / "message").read_text())

    return start


def of_an_older_operator(storage: Storage) -> None:
    """A marker of before names were found."""
    marker = storage.read_marker(OUTPUT)
    assert marker is not None
    storage.write_marker(OUTPUT, marker.model_copy(update={"settings": {}}))


def test_a_name_is_found_of_a_model_that_an_older_operator_fetched(storage: Storage, started: Any) -> None:
    lies(storage, "gemma-2-2b")
    fetch.run(spec_of(fetching()), storage)
    of_an_older_operator(storage)
    result = StageResult.model_validate(started(fetching()))
    assert result.reused
    assert result.settings == {"model_name": "gemma2-2b"}


def test_a_name_is_compared_with_a_model_that_another_job_fetched(storage: Storage, started: Any) -> None:
    lies(storage, "Qwen3-4B")
    fetch.run(spec_of(fetching("teacher", for_max_text=False)), storage)
    failure = StageFailure.model_validate(started(fetching("teacher", "llama2-7b")))
    assert (failure.reason, failure.permanent) == ("MaxTextModelContradicted", True)
    assert StageResult.model_validate(started(fetching("teacher", "qwen3-8b"))).reused


# What the conversion makes of it.


def fetched(storage: Storage, model: str) -> StageResult:
    lies(storage, model)
    return fetch.run(spec_of(fetching("teacher", for_max_text=False)), storage)


def name_of(storage: Storage, result: StageResult, name: str | None = None) -> str:
    program = ConvertProgram(model=OUTPUT, max_text_model=name, trained=False)
    return convert.name_of(program, result, read_config(storage.at("model")))


def test_the_conversion_takes_the_name_that_was_found(storage: Storage) -> None:
    assert name_of(storage, fetched(storage, "gemma-3-4b")) == "gemma3-4b"


def test_the_conversion_takes_the_name_that_was_fetched_with_though_another_is_nearer(storage: Storage) -> None:
    result = fetched(storage, "Qwen3-4B").model_copy(update={"settings": {"model_name": "qwen3-8b"}})
    assert name_of(storage, result) == "qwen3-8b"


def test_a_given_name_is_the_conversions(storage: Storage) -> None:
    assert name_of(storage, fetched(storage, "Llama-3.2-1B"), "llama2-7b") == "llama2-7b"


def test_the_conversion_finds_the_name_of_a_model_that_an_older_operator_fetched(storage: Storage) -> None:
    result = fetched(storage, "Olmo-3-7B").model_copy(update={"settings": {}})
    assert name_of(storage, result) == "olmo3-7b"


def test_the_conversion_refuses_a_name_that_an_older_operator_did_not_compare(storage: Storage) -> None:
    with pytest.raises(StageError, match="Qwen3ForCausalLM") as caught:
        name_of(storage, fetched(storage, "Qwen3-4B"), "llama2-7b")
    assert caught.value.reason.name == "MaxTextModelContradicted"
