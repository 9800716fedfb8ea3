"""What vLLM on a TPU makes of each architecture: vllm-tpu and tpu-inference as requirements/teacher-tpu.txt pins them.

tests/e2e/test_tpu_wheels.py reads the same out of the pinned wheels and compares. Sources, by docs/gke.md's names for
them: TI is tpu-inference's wheel, VT vllm-tpu's, TIM the support matrices of tpu-inference's repository.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PINNED = {
    "tpu-inference": ("0.32.0", "7c25a3c76cefd383f06ef115a6ed4d7bed82c081f047046bfef55f5913ea06d4"),
    "vllm-tpu": ("0.32.0", "d054efff911887584511b4583787cd79e1fecba261c719b44e49b06051e2d067"),
}
"""Version of each package, and the SHA-256 of the wheel that this table was read in."""

Implementation = Literal["flax_nnx", "vllm"]
"""As MODEL_IMPL_TYPE has it: the package's own in JAX, or vLLM's in PyTorch, run by torchax."""


@dataclass(frozen=True)
class Architecture:
    """One architecture on a TPU."""

    implementation: Implementation = "vllm"
    tested: str = ""
    """Models of it, and chips, that its authors' support matrices pass (TIM); empty: none, it is only loaded."""
    note: str = ""
    """What is known beside that, with its source."""
    refused: str = ""
    """Why it can't work; empty: nothing is known against it."""


_UNTESTED = Architecture()
"""Of every architecture that the table hasn't: run by vLLM's code in PyTorch, with a warning (TI, model_loader)."""


def _no_kernels(layer: str, *names: str) -> dict[str, Architecture]:
    why = f"its layers {layer} have no kernel for TPUs; of such, tpu-inference has Qwen's gated DeltaNet only"
    return {name: Architecture(refused=why) for name in names}


def _other_hardware(*names: str) -> dict[str, Architecture]:
    why = "vLLM's implementation is written for GPUs of NVIDIA and AMD, and tpu-inference has none of its own"
    return {name: Architecture(refused=why) for name in names}


_NEEDS_INDEXER = Architecture(
    refused="its sparse attention needs vLLM's indexer, which raises NotImplementedError on TPUs"
)

ARCHITECTURES: Mapping[str, Architecture] = {
    # In JAX.
    "DeepseekV3ForCausalLM": Architecture("flax_nnx", "DeepSeek-R1 on tpu7x"),
    "Gemma4ForCausalLM": Architecture("flax_nnx"),
    "Gemma4ForConditionalGeneration": Architecture("flax_nnx", "Gemma 4 31B, E4B and E2B on v6e"),
    "Llama4ForCausalLM": Architecture("flax_nnx"),
    "Llama4ForConditionalGeneration": Architecture("flax_nnx", "Llama-Guard-4-12B on v6e and tpu7x"),
    "LlamaForCausalLM": Architecture("flax_nnx", "Llama 3.1 8B and 3.3 70B on v6e and tpu7x"),
    "Qwen2ForCausalLM": Architecture("flax_nnx"),
    "Qwen2_5_VLForConditionalGeneration": Architecture("flax_nnx", "Qwen2.5-VL-7B on v6e"),
    "Qwen3ForCausalLM": Architecture("flax_nnx", "Qwen3 4B and 32B on v6e, 32B on tpu7x"),
    # Drafts for speculative decoding, which nobody takes for a teacher.
    "DFlashDraftModel": Architecture("flax_nnx"),
    "DFlashForCausalLM": Architecture("flax_nnx"),
    "Eagle3LlamaForCausalLM": Architecture("flax_nnx"),
    "Gemma4MTPModel": Architecture("flax_nnx"),
    # Preferred in PyTorch, though some of them have an implementation in JAX too.
    "GptOssForCausalLM": Architecture(tested="gpt-oss-120b on tpu7x"),
    "KimiK25ForConditionalGeneration": Architecture(tested="Kimi K2.6 on tpu7x"),
    "Qwen3MoeForCausalLM": Architecture(tested="Qwen3-30B-A3B on v6e and tpu7x, Qwen3-Coder-480B on tpu7x"),
    "Qwen3_5MoeForConditionalGeneration": Architecture(tested="Qwen3.5-397B-A17B on tpu7x"),
    # In PyTorch since JAX has none.
    "DeepseekV2ForCausalLM": Architecture(
        note="in no matrix; one contributor ran DeepSeek-V2-Lite-Chat in FP8 on v6e (tpu-inference#1729)"
    ),
    "Gemma3ForConditionalGeneration": Architecture(tested="gemma-3-27b-it on v6e and tpu7x"),
    # Known not to work.
    "DeepseekV32ForCausalLM": _NEEDS_INDEXER,
    "GlmMoeDsaForCausalLM": _NEEDS_INDEXER,
    **_no_kernels("MambaMixer", "FalconMambaForCausalLM", "JambaForCausalLM", "MambaForCausalLM"),
    **_no_kernels(
        "MambaMixer2", "FalconH1ForCausalLM", "GraniteMoeHybridForCausalLM", "Mamba2ForCausalLM",
        "NemotronHForCausalLM", "NemotronHPuzzleForCausalLM", "NemotronH_Nano_Omni_Reasoning_V3",
        "NemotronH_Nano_VL_V2", "NemotronH_Omni_Reasoning_V3", "NemotronH_Super_Omni_Reasoning_V3",
        "Zamba2ForCausalLM",
    ),
    **_no_kernels("ShortConv", "Lfm2ForCausalLM", "Lfm2MoeForCausalLM", "Lfm2VlForConditionalGeneration"),
    **_no_kernels("BailingMoELinearAttention", "BailingMoeV2_5ForCausalLM"),
    **_no_kernels("MambaBase", "BailingMoeV3ForCausalLM", "BailingMoeV3VLForConditionalGeneration"),
    **_no_kernels("OlmoHybridGatedDeltaNetAttention", "OlmoHybridForCausalLM"),
    **_other_hardware(
        "DeepseekV41ForCausalLM", "Dots3NoteForCausalLM", "Glm5NextForCausalLM", "Glm5NextForConditionalGeneration",
        "HYV4ForCausalLM", "InklingForCausalLM", "InklingForConditionalGeneration", "KimiK3ForConditionalGeneration",
        "KimiLinearForCausalLM", "MiniMaxM3SparseForCausalLM", "MiniMaxM3SparseForConditionalGeneration",
        "Qwen4ExpForCausalLM", "Qwen4ExpForConditionalGeneration",
    ),
}  # fmt: skip

QUANTISED = frozenset({"auto_awq", "compressed-tensors", "deepseek_v4_fp8", "fp8", "gpt_oss_mxfp4", "modelopt_fp4"})
"""Methods of quantised weights that the platform takes, under vLLM's names (TI, tpu_platform)."""

QUANTISED_IN_JAX = frozenset({"compressed-tensors", "fp8", "gpt_oss_mxfp4"})
"""Those of them that models in JAX take (TI, layers/jax/quantization)."""

LATENT_ATTENTION = frozenset(
    {
        "axk1", "bailing_hybrid", "bailing_hybrid_mtp", "bailing_hybrid_v3_mtp", "deepseek_mtp", "deepseek_v2",
        "deepseek_v3", "deepseek_v32", "deepseek_v4", "deepseek_v41", "dots3_note", "glm4_moe_lite",
        "glm4_moe_lite_mtp", "glm5_next", "glm5_next_text", "glm_moe_dsa", "hy_v4", "hy_v4_mtp", "k3_dspark",
        "kimi_k2", "kimi_linear", "longcat_flash", "pangu_ultra_moe", "pangu_ultra_moe_mtp",
    }
)  # fmt: skip
"""``model_type`` of models that vLLM runs by multi-head latent attention (VT, model_arch_config_convertor)."""

DEEPSEEK_V3_IN_JAX: Mapping[str, int] = {
    "hidden_size": 7168,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "vocab_size": 129280,
    "n_routed_experts": 256,
    "num_experts_per_tok": 8,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "first_k_dense_replace": 3,
    "moe_layer_freq": 1,
    "n_group": 8,
    "n_shared_experts": 1,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}
"""The one size of DeepseekV3ForCausalLM in JAX, written into its code (TI, deepseek_v3); by config.json's names."""


def architecture(name: str) -> Architecture:
    """What is known of the architecture that config.json calls so."""
    return ARCHITECTURES.get(name, _UNTESTED)
