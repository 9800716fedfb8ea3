"""A model is verified before anything depends on it, wherever it comes from."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from huggingface_hub import errors

from distillation_api.contract import ConvertProgram, FetchProgram, HuggingFaceRepo, Source, StageResult, StageSpec
from distillation_stages.models.model_directory import wanted_files
from distillation_stages.models.quantisation import require_unquantised
from distillation_stages.programs import convert, fetch
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.reporting import Reporter
from distillation_stages.runtime.storage import Storage
from distillation_stages.services.buckets import split_uri
from distillation_stages.services.hub import hub_errors
from unit.stages.stage_inputs import OUTPUT, CountingTree, finish, spec_of, write_model, write_safetensors

INDEX = "model.safetensors.index.json"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


def fetch_path(storage: Storage, path: str = "model", role: Literal["teacher", "student"] = "teacher") -> StageResult:
    program = FetchProgram(source=Source(path=path), role=role)
    return fetch.run(spec_of(program), storage)


def write_sharded(model: Path) -> None:
    write_model(model)
    (model / "model.safetensors").unlink()
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for name in names:
        write_safetensors(model / name)
    (model / INDEX).write_text(json.dumps({"weight_map": {"a": names[0], "b": names[1]}}))


# In the storage.


def write_sentencepiece(model: Path) -> None:
    write_model(model)
    (model / "tokenizer.json").rename(model / "tokenizer.model")


@pytest.mark.parametrize("write", [write_model, write_sharded, write_sentencepiece])
def test_a_whole_model_in_the_storage_is_taken_where_it_lies(storage: Storage, write: Callable[[Path], None]) -> None:
    """U31, U33."""
    write(storage.at("model"))
    result = fetch_path(storage)
    assert result.outputs == {"model": "model"}
    weights = next(storage.at("model").glob("*.safetensors"))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert result.parts[f"../model/{weights.name}"] == digest
    assert storage.read_marker(OUTPUT) == result
    assert not (storage.at(OUTPUT) / fetch.DOWNLOAD).exists()


def without(*names: str) -> Callable[[Path], None]:
    def damage(model: Path) -> None:
        write_sharded(model)
        for name in names:
            (model / name).unlink()

    return damage


def only_pickled(model: Path) -> None:
    write_model(model)
    (model / "model.safetensors").rename(model / "pytorch_model.bin")


def cut_off(model: Path) -> None:
    write_model(model, tensor_bytes=1000)
    os.truncate(model / "model.safetensors", 500)


def no_header(model: Path) -> None:
    write_model(model)
    (model / "model.safetensors").write_bytes(b"\0" * 4)


def broken_config(model: Path) -> None:
    write_model(model)
    (model / "config.json").write_text("{")


def shards_alone(*numbers: int) -> Callable[[Path], None]:
    """Of three, without the index that tells of the others."""

    def write(model: Path) -> None:
        write_model(model)
        (model / "model.safetensors").unlink()
        for number in numbers:
            write_safetensors(model / f"model-0000{number}-of-00003.safetensors")

    return write


def with_file(name: str, content: str) -> Callable[[Path], None]:
    def write(model: Path) -> None:
        write_model(model)
        (model / name).write_text(content)

    return write


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0a1b\nsize 12345\n"


def adapter_alone(model: Path) -> None:
    model.mkdir(parents=True)
    for name in ("adapter_config.json", "tokenizer.json"):
        (model / name).write_text("{}")
    write_safetensors(model / "adapter_model.safetensors")


def adapter_and_config(model: Path) -> None:
    """As trainings leave it that save the base model's config.json along."""
    adapter_alone(model)
    (model / "config.json").write_text("{}")


@pytest.mark.parametrize(
    ("damage", "reason", "told"),
    [
        (lambda model: None, "ModelNotFound", "model"),
        (without("config.json"), "NotAModelDirectory", "config.json"),
        (without("tokenizer.json"), "NoTokenizer", "tokenizer.model"),
        (without("model-00002-of-00002.safetensors"), "IncompleteModel", "model-00002-of-00002"),
        (only_pickled, "NoSafetensors", "only pytorch_model.bin"),
        (cut_off, "IncompleteModel", "500 bytes"),
        (no_header, "BrokenModelFile", "no whole safetensors header"),
        (broken_config, "BrokenModelFile", "config.json"),
        (shards_alone(1), "IncompleteModel", r"2 of the 3 shards of model: 00002, 00003"),
        (shards_alone(1, 3), "IncompleteModel", r"1 of the 3 shards of model: 00002"),
        (with_file("generation_config.json", '{"eos_token_id": 2,}'), "BrokenModelFile", r"generation_config\.json is"),
        (with_file("generation_config.json", "[]"), "BrokenModelFile", r"generation_config\.json holds"),
        (with_file("tokenizer_config.json", "{"), "BrokenModelFile", r"tokenizer_config\.json is no JSON"),
        (with_file("tokenizer.json", '{"model": '), "BrokenModelFile", r"tokenizer\.json is no JSON"),
        (with_file("tokenizer_config.json", "\ufeff{}"), "BrokenModelFile", r"tokenizer_config\.json is no JSON.*BOM"),
        (with_file("special_tokens_map.json", ""), "BrokenModelFile", r"special_tokens_map\.json is no JSON"),
        (with_file("chat_template.json", "\0"), "BrokenModelFile", r"chat_template\.json is no JSON"),
        (
            with_file("tokenizer.json", POINTER),
            "IncompleteModel",
            r"tokenizer\.json.* LFS pointer.*12345.*git lfs pull",
        ),
        (with_file("config.json", POINTER), "IncompleteModel", r"config\.json is a Git LFS pointer"),
        (with_file("model.safetensors", POINTER), "IncompleteModel", r"model\.safetensors is a Git LFS pointer"),
        (with_file("merges.txt", POINTER), "IncompleteModel", r"merges\.txt is a Git LFS pointer"),
        (adapter_alone, "AdapterWithoutModel", "merge_and_unload"),
        (adapter_and_config, "AdapterWithoutModel", "adapter_config.json"),
    ],
)
def test_what_is_no_whole_model_is_refused(
    storage: Storage, damage: Callable[[Path], None], reason: str, told: str
) -> None:
    damage(storage.at("model"))
    with pytest.raises(StageError, match=told) as caught:
        fetch_path(storage)
    assert caught.value.reason.name == reason
    assert storage.read_marker(OUTPUT) is None


@pytest.mark.parametrize(
    "write",
    [
        shards_alone(1, 2, 3),
        with_file("generation_config.json", '{"eos_token_id": 2}'),
        with_file("modules.json", "[]"),
        with_file("training_args.json", "{broken"),
        with_file("README.md", POINTER),
    ],
)
def test_files_that_no_stage_loads_may_be_anything(storage: Storage, write: Callable[[Path], None]) -> None:
    write(storage.at("model"))
    assert fetch_path(storage).outputs == {"model": "model"}


def test_no_weights_are_downloaded_beside_a_tokenizer_that_is_a_pointer(tmp_path: Path, storage: Storage) -> None:
    write_sharded(tmp_path / "bucket")
    (tmp_path / "bucket" / "tokenizer.json").write_text(POINTER)
    bucket = CountingTree(tmp_path / "bucket")
    program = FetchProgram(source=Source(path="model"), role="teacher")
    with pytest.raises(StageError, match=r"tokenizer\.json is a Git LFS pointer"):
        fetch.download_tree(
            bucket, tmp_path / "local", Reporter("fetch", "bytes"), lambda model: fetch.check_files(program, model)
        )
    assert not [name for name in bucket.copied if name.endswith(".safetensors")]


def test_a_link_out_of_the_storage_is_refused(storage: Storage, tmp_path: Path) -> None:
    write_model(tmp_path / "elsewhere")
    storage.mount.mkdir()
    (storage.mount / "model").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StageError) as caught:
        fetch_path(storage)
    assert caught.value.reason.name == "PathOutsideStorage"


def test_an_empty_source_is_refused(storage: Storage) -> None:
    with pytest.raises(StageError, match="huggingFace, gcs or path"):
        fetch.run(spec_of(FetchProgram(source=Source(), role="student")), storage)


# Quantised. As public repositories have it in config.json.

QUANTISED: list[tuple[dict[str, Any], str]] = [
    ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "bitsandbytes"),
    ({"quantization_config": {"load_in_8bit": True}}, "bitsandbytes"),
    ({"quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}}, "fp8"),
    ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "gptq"),
    ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "awq"),
    ({"text_config": {"quantization_config": {"quant_method": "mxfp4"}}}, "mxfp4"),
    ({"compression_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
    ({"quantization_config": {"bits": 4}}, "an unnamed method"),
    ({"quantization": {"group_size": 64, "bits": 4}}, "MLX"),
    ({"quantization": {"group_size": 64, "bits": 4}, "quantization_config": {"group_size": 64, "bits": 4}}, "MLX"),
    ({"text_config": {"quantization": {"bits": 8, "mode": "affine", "model.layers.0": {"bits": 4}}}}, "MLX"),
]


@pytest.mark.parametrize(("members", "method"), QUANTISED)
def test_a_quantised_student_is_refused_by_its_config(storage: Storage, members: dict[str, Any], method: str) -> None:
    """U16."""
    write_model(storage.at("model"))
    storage.at("model/config.json").write_text(json.dumps(members))
    with pytest.raises(StageError, match=rf"quantised by {method}; .* give the repository") as caught:
        fetch_path(storage, role="student")
    assert caught.value.reason.name == "QuantisedModel"
    assert storage.read_marker(OUTPUT) is None


@pytest.mark.parametrize("name", ["hf_quant_config.json", "quantize_config.json", "quant_config.json"])
def test_a_student_is_refused_by_the_file_of_the_tool_that_quantised_it(storage: Storage, name: str) -> None:
    """U16."""
    write_model(storage.at("model"))
    storage.at(f"model/{name}").write_text('{"bits": 4}')
    with pytest.raises(StageError, match=name):
        fetch_path(storage, role="student")


@pytest.mark.parametrize(
    "members",
    [
        {"quantization_config": None},
        {"quantization_config": {}},
        {"quantization": {}},
        {"quantization": None},
        {"quantization": {"note": "none"}},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": False, "load_in_8bit": False}},
    ],
)
def test_a_config_that_names_no_quantisation_in_effect_is_taken(storage: Storage, members: dict[str, Any]) -> None:
    write_model(storage.at("model"))
    storage.at("model/config.json").write_text(json.dumps(members))
    assert fetch_path(storage, role="student").outputs == {"model": "model"}


def test_vllm_may_be_given_a_quantised_teacher(storage: Storage) -> None:
    write_model(storage.at("model"))
    storage.at("model/config.json").write_text(json.dumps(QUANTISED[0][0]))
    assert fetch_path(storage, role="teacher").outputs == {"model": "model"}


def test_a_model_that_is_converted_is_refused_before_its_weights_are_read(storage: Storage) -> None:
    """The teacher of logit matching, fetched before by a job that has it answer alone."""
    write_model(storage.at("model"))
    storage.at("model/config.json").write_text(json.dumps(QUANTISED[0][0]))
    finish(storage, "fetch-teacher", model="model")
    program = ConvertProgram(model="fetch-teacher", max_text_model="llama3.1-8b", trained=False)
    with pytest.raises(StageError) as caught:
        convert.run(StageSpec(stage="convert-teacher", fingerprint="c", output=OUTPUT, program=program), storage)
    assert caught.value.reason.name == "QuantisedModel"


def test_no_weights_of_a_quantised_student_are_downloaded(tmp_path: Path) -> None:
    """U16."""
    write_sharded(tmp_path / "bucket")
    (tmp_path / "bucket" / "config.json").write_text(json.dumps(QUANTISED[0][0]))
    bucket = CountingTree(tmp_path / "bucket")
    with pytest.raises(StageError, match="bitsandbytes"):
        fetch.download_tree(bucket, tmp_path / "local", Reporter("fetch", "bytes"), require_unquantised)
    assert bucket.copied == ["config.json", INDEX, "tokenizer.json"]


# From a bucket.


def any_model(directory: Path) -> None:
    """The check of a teacher."""


def test_a_download_takes_what_a_model_needs_and_continues(tmp_path: Path) -> None:
    write_sharded(tmp_path / "bucket")
    (tmp_path / "bucket" / "original").mkdir()
    (tmp_path / "bucket" / "original" / "model.pth").write_bytes(b"x")
    (tmp_path / "bucket" / "modeling.py").write_text("raise SystemExit")
    bucket = CountingTree(tmp_path / "bucket")
    fetch.download_tree(bucket, tmp_path / "local", Reporter("fetch", "bytes"), any_model)
    weights = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert bucket.copied == ["config.json", INDEX, "tokenizer.json", *weights]
    assert sorted(path.name for path in (tmp_path / "local").iterdir()) == sorted(bucket.copied)

    bucket.copied = []
    (tmp_path / "local" / "config.json").unlink()
    # As long as it should be, but with other content.
    damaged = tmp_path / "local" / weights[0]
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    fetch.download_tree(bucket, tmp_path / "local", Reporter("fetch", "bytes"), any_model)
    assert bucket.copied == ["config.json", weights[0]]


def test_nothing_of_a_bucket_that_lacks_shards_is_downloaded(tmp_path: Path) -> None:
    shards_alone(1, 2)(tmp_path / "bucket")
    bucket = CountingTree(tmp_path / "bucket")
    with pytest.raises(StageError, match=r"lacks 1 of the 3 shards of model: 00003"):
        fetch.download_tree(bucket, tmp_path / "local", Reporter("fetch", "bytes"), any_model)
    assert bucket.copied == []


def test_an_empty_bucket_prefix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        fetch.download_tree(
            CountingTree(tmp_path / "nothing"), tmp_path / "local", Reporter("fetch", "bytes"), any_model
        )
    assert caught.value.reason.name == "ModelNotFound"


@pytest.mark.parametrize(
    ("uri", "expected"), [("gs://b/p/q/", ("b", "p/q")), ("gs://b", ("b", "")), ("gs://b/", ("b", ""))]
)
def test_a_bucket_uri_is_a_bucket_and_a_prefix(uri: str, expected: tuple[str, str]) -> None:
    assert split_uri(uri) == expected


@pytest.mark.parametrize("uri", ["b/p", "s3://b/p", "gs://", "gs:///p"])
def test_another_uri_is_refused(uri: str) -> None:
    with pytest.raises(StageError, match=r"gs://BUCKET/PATH"):
        split_uri(uri)


# From the Hub.


def test_neither_code_nor_second_copies_of_the_weights_are_downloaded() -> None:
    names = ["config.json", "model.safetensors", "tokenizer.model", "merges.txt", "chat_template.jinja"]
    others = ["modeling.py", "pytorch_model.bin", "consolidated.safetensors", "onnx/model.json", "README.md"]
    assert wanted_files([*others, *names]) == sorted(names)


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("GatedRepoError", 403, "ModelAccessDenied"),
        ("RepositoryNotFoundError", 401, "ModelAccessDenied"),
        ("RepositoryNotFoundError", 404, "ModelNotFound"),
        ("RevisionNotFoundError", 404, "ModelNotFound"),
        ("HfHubHTTPError", 403, "ModelAccessDenied"),
        ("HfHubHTTPError", 429, "HubUnavailable"),
        ("HfHubHTTPError", 503, "HubUnavailable"),
    ],
)
def test_what_the_hub_answers_is_told_with_the_repository(
    monkeypatch: pytest.MonkeyPatch, name: str, status: int, reason: str
) -> None:
    """D6."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    request = httpx.Request("GET", "https://hub")
    error = getattr(errors, name)("refused", response=httpx.Response(status, request=request))
    with (
        pytest.raises(StageError, match=r"meta/llama.*r1") as caught,
        hub_errors("model", HuggingFaceRepo(repo="meta/llama", revision="r1")),
    ):
        raise error
    assert caught.value.reason.name == reason
    if reason == "ModelAccessDenied":
        assert "spec.huggingFaceToken" in caught.value.message


def test_no_network_is_tried_again() -> None:
    with pytest.raises(StageError) as caught, hub_errors("dataset", HuggingFaceRepo(repo="a/b")):
        raise httpx.ConnectError("no route")
    assert caught.value.reason.name == "HubUnavailable"
