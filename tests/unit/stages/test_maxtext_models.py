"""Which settings a checkpoint needs in MaxText, and which checkpoints are refused."""

import json
from pathlib import Path

import pytest

from distillation_stages.maxtext.families import differences, maxtext_name, rope_scaling, rope_theta, sized_settings
from distillation_stages.models.model_config import read_config
from distillation_stages.models.weights import parameters_of
from distillation_stages.runtime.failure import StageError
from unit.stages.stage_inputs import write_safetensors
from unit.stages.training_inputs import LLAMA2_7B, LLAMA3_SCALING


def test_llama2_gets_its_sizes_and_the_rope_that_the_converter_lays_it_out_for() -> None:
    settings = sized_settings("llama2-7b", LLAMA2_7B)
    assert settings == {
        "model_name": "llama2-7b",
        "override_model_config": True,
        "scan_layers": True,
        "base_emb_dim": 4096,
        "base_mlp_dim": 11008,
        "base_num_decoder_layers": 32,
        "base_num_query_heads": 32,
        "base_num_kv_heads": 32,
        "head_dim": 128,
        "vocab_size": 32000,
        "normalization_layer_epsilon": 1e-05,
        "logits_via_embedding": False,
        "normalize_embedding_logits": False,
        "rope_type": "llama3.1",
        "rope_use_scale": False,
        "rope_max_timescale": 10000,
    }


def test_a_llama31_name_does_not_scale_rope_for_a_checkpoint_that_does_not() -> None:
    settings = sized_settings("llama3.1-8b", LLAMA2_7B | {"tie_word_embeddings": True, "rope_theta": 100000.0})
    assert settings["rope_use_scale"] is False
    assert settings["logits_via_embedding"] is True
    assert settings["rope_max_timescale"] == 100000


def test_llama3_scaling_is_passed_on() -> None:
    assert sized_settings("llama3.1-8b", LLAMA2_7B | {"rope_scaling": LLAMA3_SCALING})["rope_use_scale"] is True


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        ({"rope_scaling": {"rope_type": "llama3", "factor": 32.0}}, "UnsupportedRopeScaling", "32.0"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "UnsupportedRopeScaling", "linear"),
        ({"attention_bias": True}, "UnsupportedArchitecture", "attention_bias=True"),
        ({"hidden_act": "gelu"}, "UnsupportedArchitecture", "'gelu'"),
    ],
)
def test_what_maxtext_would_silently_get_wrong_is_refused(change: dict[str, object], reason: str, named: str) -> None:
    with pytest.raises(StageError, match=named) as caught:
        sized_settings("llama2-7b", LLAMA2_7B | change)
    assert caught.value.reason.name == reason


def test_missing_sizes_are_named() -> None:
    with pytest.raises(StageError, match="vocab_size"):
        sized_settings("llama2-7b", {name: value for name, value in LLAMA2_7B.items() if name != "vocab_size"})


def test_rope_is_read_where_transformers_5_writes_it() -> None:
    """U36."""
    config = {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}}
    assert rope_theta(config) == 500000.0
    assert rope_scaling(config) is None
    assert rope_scaling({"rope_parameters": LLAMA3_SCALING}) == LLAMA3_SCALING


def test_defaults_that_a_config_leaves_out_are_no_difference() -> None:
    known = LLAMA2_7B | {"head_dim": 128, "rope_theta": 10000.0}
    assert differences(LLAMA2_7B, known) == []


def test_differences_name_both_values() -> None:
    assert differences(LLAMA2_7B | {"num_hidden_layers": 6}, LLAMA2_7B) == ["num_hidden_layers: 6 (MaxText: 32)"]
    assert differences(LLAMA2_7B, LLAMA2_7B | {"rope_scaling": LLAMA3_SCALING})[0].startswith("rope scaling: None")


def test_an_instruct_variant_has_its_base_models_entry() -> None:
    assert maxtext_name("llama3.1-8b-Instruct") == "llama3.1-8b"


def test_parameters_are_counted_from_the_headers_of_all_files(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model-00001-of-00002.safetensors", 8)
    write_safetensors(tmp_path / "model-00002-of-00002.safetensors", 24)
    assert parameters_of(tmp_path) == 32


def test_a_model_without_safetensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="safetensors"):
        parameters_of(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_broken_config_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(StageError, match=r"config\.json"):
        read_config(tmp_path)


def test_a_config_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA2_7B))
    assert read_config(tmp_path) == LLAMA2_7B
