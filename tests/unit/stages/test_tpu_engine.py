"""What a teacher needs of vLLM on a TPU, or why it can't be served there, by members of published config.json files."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from distillation_api.contract import GenerateProgram, Sampling
from distillation_stages.models.tpu_architectures import PINNED
from distillation_stages.models.tpu_engine import TpuEngine, tpu_engine
from distillation_stages.programs.generate.tpu_environment import prepare_tpu, set_tpu_environment, tpu_arguments
from distillation_stages.programs.generate.vllm_engine import engine_arguments
from distillation_stages.runtime.failure import StageError
from e2e.tpu_wheels import pin

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
QWEN2 = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}
QWEN3_MOE = {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe"}
DEEPSEEK_V2_LITE = {
    "architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", "hidden_size": 2048,
    "num_attention_heads": 16, "q_lora_rank": None, "kv_lora_rank": 512, "qk_rope_head_dim": 64,
}  # fmt: skip
DEEPSEEK_R1 = {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "hidden_size": 7168,
    "num_attention_heads": 128, "num_key_value_heads": 128, "vocab_size": 129280, "n_routed_experts": 256,
    "num_experts_per_tok": 8, "intermediate_size": 18432, "moe_intermediate_size": 2048, "first_k_dense_replace": 3,
    "moe_layer_freq": 1, "n_group": 8, "n_shared_experts": 1, "q_lora_rank": 1536, "kv_lora_rank": 512,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}  # fmt: skip
MOONLIGHT = {
    **DEEPSEEK_R1, "hidden_size": 2048, "num_attention_heads": 16, "num_key_value_heads": 16, "q_lora_rank": None,
    "n_routed_experts": 64, "quantization_config": None,
}  # fmt: skip
KIMI_K2 = {**DEEPSEEK_R1, "model_type": "kimi_k2", "num_attention_heads": 64, "n_routed_experts": 384}
GPT_OSS = {
    "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "quantization_config": {"quant_method": "mxfp4"},
}  # fmt: skip
LLAMA4_SCOUT = {
    "architectures": ["Llama4ForConditionalGeneration"], "model_type": "llama4",
    "text_config": {"model_type": "llama4_text", "num_local_experts": 16},
}  # fmt: skip
LLAMA_GUARD_4 = {**LLAMA4_SCOUT, "text_config": {"model_type": "llama4_text", "num_local_experts": 0}}
DSA = {"architectures": ["DeepseekV32ForCausalLM"], "model_type": "deepseek_v32", "kv_lora_rank": 512}

ATTENTION_DP = {"additional_config": {"sharding": {"sharding_strategy": {"enable_dp_attention": True}}}}
LATENT = {"NEW_MODEL_DESIGN": "1"}
IN_PYTORCH = {"MODEL_IMPL_TYPE": "vllm"}


def quantised(config: dict[str, Any], method: str, **members: Any) -> dict[str, Any]:
    return {**config, "quantization_config": {"quant_method": method, **members}}


@pytest.mark.parametrize(
    ("config", "implementation", "environment", "arguments"),
    [
        (LLAMA, "flax_nnx", {}, {}),
        (QWEN2, "flax_nnx", {}, {}),
        (QWEN3_MOE, "vllm", {}, {}),
        (GPT_OSS, "vllm", {}, {}),
        ({"architectures": ["MistralForCausalLM"], "model_type": "mistral"}, "vllm", {}, {}),
        (DEEPSEEK_V2_LITE, "vllm", LATENT, ATTENTION_DP),
        (DEEPSEEK_R1, "flax_nnx", LATENT, ATTENTION_DP),
        (MOONLIGHT, "vllm", IN_PYTORCH | LATENT, ATTENTION_DP),
        (KIMI_K2, "vllm", IN_PYTORCH | LATENT, ATTENTION_DP),
        (LLAMA4_SCOUT, "vllm", IN_PYTORCH, {}),
        (LLAMA_GUARD_4, "flax_nnx", {}, {}),
        (quantised(LLAMA, "compressed-tensors"), "flax_nnx", {}, {}),
        (quantised(LLAMA, "awq", bits=4), "vllm", IN_PYTORCH, {}),
        (quantised(LLAMA, "modelopt", quant_algo="NVFP4"), "vllm", IN_PYTORCH, {}),
        (quantised(LLAMA, "modelopt", quantization={"quant_algo": "NVFP4"}), "vllm", IN_PYTORCH, {}),
        # Latent attention that vLLM's own code computes as any other.
        ({"architectures": ["MiniCPM3ForCausalLM"], "model_type": "minicpm3", "kv_lora_rank": 256}, "vllm", {}, {}),
        # By transformers' code.
        (
            {"architectures": ["YoutuForCausalLM"], "model_type": "youtu", "kv_lora_rank": 512},
            "vllm",
            LATENT,
            ATTENTION_DP,
        ),
    ],
)
def test_what_a_teacher_needs(
    config: dict[str, Any], implementation: str, environment: dict[str, str], arguments: dict[str, Any]
) -> None:
    needs = tpu_engine(config)
    assert (needs.implementation, needs.environment, needs.arguments) == (implementation, environment, arguments)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({**LLAMA, "architectures": ["LlamaForCausalLM", "MistralForCausalLM"]}, "names 2 architectures .*exactly one"),
        ({**LLAMA, "architectures": []}, r"names 0 architectures \(none\)"),
        (DSA, "DeepseekV32ForCausalLM can't run: its sparse attention needs vLLM's indexer"),
        ({"architectures": ["NemotronHForCausalLM"]}, "its layers MambaMixer2 have no kernel for TPUs"),
        ({"architectures": ["KimiLinearForCausalLM"]}, "written for GPUs of NVIDIA and AMD"),
        (quantised(LLAMA, "gptq", bits=4), r"quantised by gptq \(quantization_config of config.json\).*auto_awq, comp"),
        (quantised(LLAMA, "bitsandbytes", load_in_4bit=True), "quantised by bitsandbytes"),
        (quantised(LLAMA, "modelopt", quant_algo="FP8"), "quantised by modelopt"),
        (quantised(LLAMA, "mxfp4"), "quantised by mxfp4"),
    ],
)
def test_what_is_known_not_to_work_is_refused_with_what_to_change(config: dict[str, Any], told: str) -> None:
    with pytest.raises(StageError, match=told) as caught:
        tpu_engine(config)
    assert caught.value.reason.name == "TeacherNotServed"
    assert caught.value.message.startswith("generation.accelerator asks for TPUs, and ")
    assert "leave generation.accelerator out" in caught.value.message


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (LLAMA, "by tpu-inference's code in JAX; its authors test Llama 3.1 8B and 3.3 70B on v6e and tpu7x"),
        (DEEPSEEK_V2_LITE, "by vLLM's code in PyTorch, by torchax; nobody is known to test it: in no matrix"),
        (MOONLIGHT, "nobody is known to test it"),
        (QWEN2, "by tpu-inference's code in JAX; nobody is known to test it"),
    ],
)
def test_what_is_known_of_it_is_told(config: dict[str, Any], told: str) -> None:
    assert told in tpu_engine(config).known


def test_a_variable_of_the_users_that_contradicts_is_overruled_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"NEW_MODEL_DESIGN": "0", "TPU_NAME": "mine"}
    set_tpu_environment(tpu_engine(DEEPSEEK_V2_LITE), environment)
    assert environment == {"NEW_MODEL_DESIGN": "1", "TPU_NAME": "mine"}
    assert "NEW_MODEL_DESIGN=0 of spec.pod.env isn't taken" in capsys.readouterr().err


def test_the_metadata_server_is_not_asked_for_a_name() -> None:
    environment: dict[str, str] = {}
    set_tpu_environment(TpuEngine("flax_nnx", "known"), environment)
    assert environment["TPU_NAME"]


def test_where_vllm_is_the_one_for_cpus_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEW_MODEL_DESIGN", raising=False)
    prepare_tpu(tmp_path)
    assert "NEW_MODEL_DESIGN" not in os.environ
    assert tpu_arguments(tmp_path) == {}


def test_where_it_is_the_one_for_tpus_the_engine_is_made_as_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is found by its name; what it has in it is read when vLLM is imported, after this."""
    (tmp_path / "packages" / "tpu_inference").mkdir(parents=True)
    (tmp_path / "packages" / "tpu_inference" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.setenv("NEW_MODEL_DESIGN", "0")
    monkeypatch.delenv("TPU_NAME", raising=False)
    (tmp_path / "config.json").write_text(json.dumps(DEEPSEEK_V2_LITE))
    prepare_tpu(tmp_path)
    assert tpu_arguments(tmp_path) == ATTENTION_DP
    assert os.environ["NEW_MODEL_DESIGN"] == "1"
    assert os.environ["TPU_NAME"]
    assert "tpu_inference" not in sys.modules


def test_arguments_of_every_teacher_are_left_alone() -> None:
    sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=8, seed=0)
    program = GenerateProgram(
        model="model", dataset="dataset", shards=1, chunk_rows=1, max_model_len=128, sampling=sampling
    )
    arguments = engine_arguments(Path("model"), program, 0, on_cpu=False)
    assert arguments.keys().isdisjoint(tpu_engine(DEEPSEEK_V2_LITE).arguments)


@pytest.mark.parametrize("package", PINNED)
def test_the_table_is_of_the_pinned_packages(package: str) -> None:
    """When it fails, the lock has a new version: ``python -m e2e.tpu_wheels`` tells what the table has to be."""
    version, hashes = pin(package)
    assert PINNED[package][0] == version
    assert PINNED[package][1] in hashes
