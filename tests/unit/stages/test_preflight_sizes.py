"""Models against the machines that are asked for them, by the numbers of their published config.json."""

from typing import Any

import pytest

from distillation_api.contract import PlannedGeneration, PlannedTraining
from distillation_stages.models.serving import check_served
from distillation_stages.models.weights import Tensor
from distillation_stages.programs.preflight.sizes import (
    cache_bytes_per_token,
    check_generation_context,
    check_served_heads,
    check_served_memory,
    check_trained_heads,
    check_trained_memory,
    check_training_context,
    context_length,
)
from distillation_stages.runtime.failure import StageError

LLAMA2_7B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096, "rope_scaling": None,
}  # fmt: skip
LLAMA32_1B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 131072,
    "rope_scaling": {"factor": 32.0, "rope_type": "llama3", "original_max_position_embeddings": 8192},
}  # fmt: skip
QWEN25_1_5B = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 1536, "num_hidden_layers": 28,
    "num_attention_heads": 12, "num_key_value_heads": 2, "max_position_embeddings": 32768,
}  # fmt: skip
DEEPSEEK_V2_LITE = {
    "architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", "hidden_size": 2048,
    "num_hidden_layers": 27, "num_attention_heads": 16, "num_key_value_heads": 16, "kv_lora_rank": 512,
    "qk_rope_head_dim": 64, "max_position_embeddings": 163840,
    "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096},
}  # fmt: skip
GEMMA3_4B = {
    "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
    "text_config": {
        "model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 256, "max_position_embeddings": 131072, "sliding_window": 1024,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    },
}  # fmt: skip


def planned_generation(**members: Any) -> PlannedGeneration:
    return PlannedGeneration(**{"max_model_len": 4096, "max_tokens": 512, "max_lost_share": 0.5, **members})


def planned_training(**members: Any) -> PlannedTraining:
    plan = {"name": "one", "data": "TeacherCompletions", "max_target_length": 2048, "bytes_per_parameter": 12}
    return PlannedTraining(**{**plan, **members})


@pytest.mark.parametrize(
    ("config", "longest"),
    [
        (LLAMA2_7B, 4096),
        (LLAMA32_1B, 131072),
        (DEEPSEEK_V2_LITE, 163840),
        (GEMMA3_4B, 131072),
        (
            {"model_type": "llama", "max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 4}},
            16384,
        ),
        ({"model_type": "gpt2", "n_positions": 1024}, 1024),
        (
            {
                "model_type": "olmo3",
                "max_position_embeddings": 65536,
                "rope_parameters": {
                    "sliding_attention": {"rope_type": "default"},
                    "full_attention": {"rope_type": "yarn", "factor": 8.0},
                },
            },
            65536,
        ),
        ({"model_type": "mamba"}, None),
    ],
)
def test_the_context_is_what_vllm_takes_it_for(config: dict[str, Any], longest: int | None) -> None:
    assert context_length(config) == longest


def test_a_longer_request_than_the_teachers_context_is_refused() -> None:
    check_generation_context(LLAMA2_7B, planned_generation())
    with pytest.raises(StageError, match=r"maxModelLen 8192 is more than the 4096 tokens.*lower it to at most 4096"):
        check_generation_context(LLAMA2_7B, planned_generation(max_model_len=8192))
    check_generation_context({"model_type": "mamba"}, planned_generation(max_model_len=10**6))


def test_a_longer_row_than_the_students_context_is_refused() -> None:
    check_training_context(LLAMA2_7B, planned_training(max_target_length=4096))
    with pytest.raises(StageError, match=r"maxTargetLength 4097 of training stage one .* lower it to at most 4096"):
        check_training_context(LLAMA2_7B, planned_training(max_target_length=4097))


@pytest.mark.parametrize(
    ("config", "chips", "told"),
    [
        (LLAMA2_7B, 8, None),
        (LLAMA32_1B, 4, None),
        (QWEN25_1_5B, 8, "12 attention heads, which 8 devices can't share evenly .*; take 1 or 2 or 4$"),
        (QWEN25_1_5B, 4, None),
        ({**QWEN25_1_5B, "num_key_value_heads": 3}, 4, "3 key and value heads, which 4 devices can neither"),
        ({**DEEPSEEK_V2_LITE, "num_key_value_heads": 3}, 8, None),
        (GEMMA3_4B, 8, None),
        ({"model_type": "mamba"}, 8, None),
    ],
)
def test_heads_are_shared_out_evenly(config: dict[str, Any], chips: int, told: str | None) -> None:
    if told is None:
        check_served_heads(config, planned_generation(tensor_parallelism=chips))
        check_trained_heads(config, planned_training(tensor_parallelism=chips))
        return
    with pytest.raises(StageError, match=told):
        check_served_heads(config, planned_generation(tensor_parallelism=chips))
    with pytest.raises(StageError, match=r"the student has .*parallelism\.tensor of stage one"):
        check_trained_heads(config, planned_training(tensor_parallelism=chips))


def weights(billions: float, bytes_each: float) -> dict[str, Tensor]:
    return {"model.weight": Tensor([int(billions * 1e9)], bytes_each)}


@pytest.mark.parametrize(
    ("billions", "bytes_each", "gib", "fits"),
    [
        (6.7, 2, 16, False),  # Llama 2 7B on one v5e chip: 12.5 GiB of weights, 2 GiB of cache
        (6.7, 2, 32, True),
        (6.7, 4, 32, True),  # float32 files: vLLM loads them as bfloat16
        (6.7, 0.5, 16, True),  # four bits a weight
        (70, 2, 128, False),
        (70, 2, 8 * 95, True),
        (70, 2, None, True),  # on CPU the pod's memory decides
    ],
)
def test_a_teacher_that_exceeds_the_chips_is_refused(
    billions: float, bytes_each: float, gib: int | None, fits: bool
) -> None:
    plan = planned_generation(accelerator_gib=gib)
    if fits:
        check_served_memory(LLAMA2_7B, weights(billions, bytes_each), plan)
        return
    with pytest.raises(
        StageError, match=r"GiB of weights and 2\.0 GiB of cache .* Take a host with more memory"
    ) as caught:
        check_served_memory(LLAMA2_7B, weights(billions, bytes_each), plan)
    assert caught.value.reason.name == "ModelExceedsChips"


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (LLAMA2_7B, 2 * 32 * 32 * 128 * 2),
        (LLAMA32_1B, 2 * 16 * 8 * 64 * 2),
        (DEEPSEEK_V2_LITE, 27 * (512 + 64) * 2),
        (GEMMA3_4B, 0),
        ({"model_type": "mamba"}, 0),
    ],
)
def test_the_cache_of_a_token_is_no_more_than_it_takes(config: dict[str, Any], size: int) -> None:
    assert cache_bytes_per_token(config) == size


@pytest.mark.parametrize(
    ("members", "fits"),
    [
        ({"weight_shards": 4, "chip_gib": 32}, True),  # 7 billion at 12 bytes: 19.6 GiB on each of four
        ({"weight_shards": 4, "chip_gib": 16}, False),
        ({"weight_shards": 4, "chip_gib": 16, "bytes_per_parameter": 6}, True),
        ({"weight_shards": 4, "chip_gib": 32, "runs_teacher": True}, False),
        ({"weight_shards": 1}, True),
    ],
)
def test_a_student_that_exceeds_the_chips_is_refused(members: dict[str, Any], fits: bool) -> None:
    student, teacher = 7 * 10**9, 70 * 10**9
    if fits:
        check_trained_memory(student, teacher, planned_training(**members))
        return
    with pytest.raises(StageError, match=r"training stage one takes .* billion .* Spread the weights over more than"):
        check_trained_memory(student, teacher, planned_training(**members))


@pytest.mark.parametrize("config", [LLAMA2_7B, QWEN25_1_5B, DEEPSEEK_V2_LITE, GEMMA3_4B])
def test_known_architectures_are_served(config: dict[str, Any]) -> None:
    check_served(config)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "names no architectures"),
        ({"architectures": []}, "names no architectures"),
        ({"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}, "an encoder and a decoder"),
    ],
)
def test_what_vllm_cannot_serve_is_refused(config: dict[str, Any], told: str) -> None:
    with pytest.raises(StageError, match=told) as caught:
        check_served(config)
    assert caught.value.reason.name == "TeacherNotServed"
