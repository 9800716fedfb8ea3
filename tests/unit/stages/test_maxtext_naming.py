"""MaxText's name of a model follows from its config.json; one that contradicts it is refused with the right ones."""

from typing import Any

import pytest

from distillation_api.maxtext import MAX_TEXT_MODELS
from distillation_stages.maxtext.known_models import KNOWN
from distillation_stages.maxtext.naming import found_name, model_name
from distillation_stages.runtime.failure import StageError
from unit.stages.model_configs import MODELS

FIELD = "spec.student.maxTextModel"

FOUND = {
    "Llama-2-7b": "llama2-7b",
    "Llama-2-13b": "llama2-13b",
    "Llama-2-70b": "llama2-70b",
    "Llama-3-8B": "llama3-8b",
    "Llama-3-70B": "llama3-70b",
    "Llama-3.1-8B": "llama3.1-8b",
    "Llama-3.1-70B": "llama3.1-70b",
    "Llama-3.2-1B": "llama3.1-8b",
    "Llama-3.2-3B": "llama3.1-8b",
    # Its config.json is that of 3.1.
    "Llama-3.3-70B": "llama3.1-70b",
    "TinyLlama-1.1B": "llama2-7b",
    "SmolLM2-135M": "llama3-8b",
    "Qwen2.5-0.5B": "qwen2.5-1.5b",
    "Qwen2.5-1.5B": "qwen2.5-1.5b",
    "Qwen2.5-7B": "qwen2.5-7b",
    "Qwen2.5-14B": "qwen2.5-14b",
    "Qwen2.5-32B": "qwen2.5-14b",
    "Qwen3-0.6B": "qwen3-0.6b",
    "Qwen3-1.7B": "qwen3-1.7b",
    "Qwen3-4B": "qwen3-4b",
    "Qwen3-4B-Thinking-2507": "qwen3-4b-thinking-2507",
    "Qwen3-8B": "qwen3-8b",
    "Qwen3-14B": "qwen3-14b",
    "Qwen3-32B": "qwen3-32b",
    "Qwen3-30B-A3B-Instruct-2507": "qwen3-30b-a3b",
    "Qwen3-235B-A22B-Instruct-2507": "qwen3-235b-a22b",
    "gemma-2-2b": "gemma2-2b",
    "gemma-2-9b": "gemma2-9b",
    "gemma-2-27b": "gemma2-27b",
    "gemma-3-4b": "gemma3-4b",
    "gemma-3-12b": "gemma3-12b",
    "gemma-3-27b": "gemma3-27b",
    "Mixtral-8x7B": "mixtral-8x7b",
    "DeepSeek-V2-Lite": "deepseek2-16b",
    "gpt-oss-20b": "gpt-oss-20b",
    "gpt-oss-120b": "gpt-oss-120b",
}

TEACHERS_ALONE = {
    "Olmo-3-7B": "olmo3-7b",
    "Olmo-3-7B before its long context": "olmo3-7b-pt",
    "Olmo-3-32B": "olmo3-32b",
}
"""MaxText has no conversion back."""

UNSUPPORTED = {
    "Phi-3-mini": "Phi3ForCausalLM (model_type phi3)",
    "Falcon-7B": "FalconForCausalLM (model_type falcon)",
    "Mamba-2.8B": "MambaForCausalLM (model_type mamba)",
    "T5-base": "T5ForConditionalGeneration (model_type t5)",
    "Mistral-7B-v0.3": "MistralForCausalLM (model_type mistral)",
}


def refusal(config: dict[str, Any], given: str | None, trained: bool = True) -> tuple[str, str]:
    with pytest.raises(StageError) as caught:
        model_name(config, given, trained, FIELD)
    assert caught.value.reason.is_final
    return caught.value.reason.name, caught.value.message


def test_the_table_of_shapes_has_exactly_the_names_that_the_api_takes() -> None:
    assert KNOWN.keys() == set(MAX_TEXT_MODELS)


@pytest.mark.parametrize(("model", "name"), [*FOUND.items(), *TEACHERS_ALONE.items()])
def test_the_name_is_found_from_config_json(model: str, name: str) -> None:
    assert model_name(MODELS[model], None, False, FIELD) == name
    assert found_name(MODELS[model]) == name


@pytest.mark.parametrize(("model", "name"), FOUND.items())
def test_what_is_found_is_right_when_it_is_given(model: str, name: str) -> None:
    assert model_name(MODELS[model], None, True, FIELD) == name
    assert model_name(MODELS[model], name, True, FIELD) == name


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ("Llama-3.2-1B", "llama2-7b"),
        ("Llama-3.1-8B", "llama3.1-8b-Instruct"),
        ("Llama-3.3-70B", "llama3.3-70b"),
        ("SmolLM2-135M", "llama3.1-8b"),
        ("Qwen2.5-0.5B", "qwen2.5-14b"),
        ("Qwen3-4B", "qwen3-4b-base"),
        ("Qwen3-30B-A3B-Instruct-2507", "qwen3-30b-a3b-base"),
    ],
)
def test_a_name_that_was_right_before_names_were_found_is_kept(model: str, given: str) -> None:
    assert model_name(MODELS[model], given, True, FIELD) == given


@pytest.mark.parametrize(
    ("model", "given", "right"),
    [
        ("Qwen3-4B", "llama2-7b", "Right would be qwen3-4b or qwen3-4b-base or "),
        ("Qwen2.5-7B", "qwen3-8b", "Right would be qwen2.5-7b or "),
        ("Llama-3.1-8B", "qwen3-8b", "Right would be llama3.1-8b or "),
        ("gemma-2-9b", "gemma3-12b", "Right would be gemma2-9b;"),
        ("Qwen3-30B-A3B-Instruct-2507", "qwen3-32b", "Right would be qwen3-30b-a3b or qwen3-30b-a3b-base;"),
        ("Mixtral-8x7B", "llama2-7b", "Right would be mixtral-8x7b;"),
    ],
)
def test_a_name_of_another_architecture_is_refused_with_the_right_ones(model: str, given: str, right: str) -> None:
    reason, message = refusal(MODELS[model], given)
    assert reason == "MaxTextModelContradicted"
    assert f"{FIELD} is '{given}'" in message
    assert f"{MODELS[model]['architectures'][0]} (model_type {MODELS[model]['model_type']})" in message
    assert right in message


@pytest.mark.parametrize(
    ("model", "given", "right", "difference"),
    [
        ("gemma-2-2b", "gemma2-9b", "gemma2-2b", "hidden_size: 2304 (MaxText: 3584)"),
        ("gemma-3-4b", "gemma3-27b", "gemma3-4b", "num_hidden_layers: 34 (MaxText: 62)"),
        ("gpt-oss-20b", "gpt-oss-120b", "gpt-oss-20b", "experts: 32 (MaxText: 128)"),
        ("Olmo-3-7B", "olmo3-7b-pt", "olmo3-7b", "rope_scaling: yarn 8 (MaxText: none)"),
    ],
)
def test_a_name_of_another_size_is_refused_where_maxtext_has_fixed_ones(
    model: str, given: str, right: str, difference: str
) -> None:
    reason, message = refusal(MODELS[model], given, trained=False)
    assert reason == "MaxTextModelContradicted"
    assert difference in message
    assert f"Right would be {right};" in message


@pytest.mark.parametrize("given", [None, "llama2-7b"])
@pytest.mark.parametrize(("model", "architecture"), UNSUPPORTED.items())
def test_an_architecture_that_maxtext_lacks_is_refused_with_those_that_it_has(
    model: str, architecture: str, given: str | None
) -> None:
    reason, message = refusal(MODELS[model], given)
    assert reason == "ModelNotSupported"
    assert architecture in message
    assert "model_type llama, qwen2, qwen3 in any size" in message
    assert "gemma2-2b" in message
    assert len(message) < 800
    assert found_name(MODELS[model]) is None


@pytest.mark.parametrize("model", TEACHERS_ALONE)
def test_a_student_that_cannot_be_converted_back_is_refused(model: str) -> None:
    reason, message = refusal(MODELS[model], None)
    assert reason == "ModelNotSupported"
    assert "can't convert back" in message
    assert "olmo3-7b" not in message


@pytest.mark.parametrize(
    ("model", "given", "told"),
    [
        ("Qwen3-30B-A3B", None, "from its qwen3-30b-a3b it differs in rope_theta: 1000000.0 (MaxText: 10000000)"),
        ("Qwen3-30B-A3B", "qwen3-30b-a3b-base", "from its qwen3-30b-a3b-base it differs in rope_theta"),
        ("Qwen3-Coder-480B-A35B", None, "of this one MaxText has qwen3-30b-a3b, qwen3-30b-a3b-base, qwen3-235b-a22b"),
        ("Qwen3-Coder-480B-A35B", "qwen3-480b-a35b", "of this one MaxText has qwen3-30b-a3b, "),
    ],
)
def test_a_shape_that_maxtext_lacks_is_told_with_what_differs(model: str, given: str | None, told: str) -> None:
    reason, message = refusal(MODELS[model], given)
    assert reason == "ModelNotSupported"
    assert told in message


def test_a_config_that_fits_several_models_asks_for_the_field() -> None:
    config = {**MODELS["gemma-3-4b"], "text_config": {"rope_scaling": {"factor": 8.0, "rope_type": "linear"}}}
    reason, message = refusal(config, None)
    assert reason == "MaxTextModelAmbiguous"
    assert f"set {FIELD} to the right one of gemma3-4b, gemma3-12b, gemma3-27b" in message
    assert model_name(config, "gemma3-12b", True, FIELD) == "gemma3-12b"


@pytest.mark.parametrize(
    ("change", "reason", "told"),
    [
        ({"attention_bias": True}, "UnsupportedArchitecture", "attention_bias=True"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "UnsupportedRopeScaling", "dynamic"),
        ({"vocab_size": None}, "BadModelConfig", "vocab_size"),
        ({"model_type": None}, "ModelNotSupported", "model_type None"),
        ({"rope_theta": "much"}, "BadModelConfig", "'much'"),
        ({"hidden_size": "4096"}, "BadModelConfig", "config.json holds what no model has"),
    ],
)
def test_what_a_conversion_would_refuse_of_a_family_is_refused_with_its_name(
    change: dict[str, Any], reason: str, told: str
) -> None:
    refused, message = refusal({**MODELS["Llama-2-7b"], **change}, "llama2-7b")
    assert refused == reason
    assert told in message


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": ["llama"]},
        {"rope_scaling": "yarn"},
        {"rope_theta": "much"},
        {"hidden_size": "4096", "num_attention_heads": 32},
        {"num_attention_heads": 0},
        {"text_config": {"hidden_size": []}},
        {"architectures": "LlamaForCausalLM"},
    ],
)
def test_a_config_that_nobody_asked_maxtext_about_may_hold_anything(change: dict[str, Any]) -> None:
    found_name({**MODELS["Llama-2-7b"], **change})
    found_name({**MODELS["gpt-oss-20b"], **change})


def test_rope_is_read_where_transformers_5_writes_it() -> None:
    """U36."""
    config = MODELS["Llama-3.1-8B"]
    moved = {name: value for name, value in config.items() if not name.startswith("rope_")}
    assert found_name({**moved, "rope_parameters": {**config["rope_scaling"], "rope_theta": 500000.0}}) == "llama3.1-8b"
    full = {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0}
    text = {**MODELS["gemma-3-4b"]["text_config"], "rope_scaling": None}
    text["rope_parameters"] = {"full_attention": full, "sliding_attention": {"rope_type": "default"}}
    assert found_name({**MODELS["gemma-3-4b"], "text_config": text}) == "gemma3-4b"
