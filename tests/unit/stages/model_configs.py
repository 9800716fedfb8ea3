"""What the config.json of public models says of their shape, as their repositories have it, gaps and all."""

from typing import Any

Config = dict[str, Any]

_LLAMA3_SCALING = {
    "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3",
}  # fmt: skip


def _shape(width: int, mlp: int, layers: int, heads: int, kv: int, vocabulary: int) -> Config:
    return {
        "hidden_size": width,
        "intermediate_size": mlp,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "vocab_size": vocabulary,
    }


def _llama(shape: Config, **others: Any) -> Config:
    fixed = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-05}
    return {**fixed, "rope_scaling": None, "tie_word_embeddings": False, **shape, **others}


def _scaled(factor: float) -> Config:
    return {"rope_theta": 500000.0, "rope_scaling": {"factor": factor, **_LLAMA3_SCALING}, "attention_bias": False}


def _qwen(kind: str, architecture: str, shape: Config, tied: bool, **others: Any) -> Config:
    fixed = {"architectures": [architecture], "model_type": kind, "hidden_act": "silu", "rms_norm_eps": 1e-06}
    fixed |= {"rope_theta": 1000000.0, "sliding_window": None, "use_sliding_window": False}
    return {**fixed, "tie_word_embeddings": tied, **shape, **others}


def _qwen2(shape: Config, tied: bool, **others: Any) -> Config:
    return _qwen("qwen2", "Qwen2ForCausalLM", shape, tied, **others)


def _qwen3(shape: Config, tied: bool, **others: Any) -> Config:
    members = {"attention_bias": False, "head_dim": 128, "rope_scaling": None, **others}
    return _qwen("qwen3", "Qwen3ForCausalLM", shape, tied, **members)


def _qwen3_moe(shape: Config, experts: int, **others: Any) -> Config:
    members = {"attention_bias": False, "head_dim": 128, "rope_scaling": None, "num_experts": experts, **others}
    return _qwen("qwen3_moe", "Qwen3MoeForCausalLM", shape, False, **members)


def _gemma2(shape: Config, head: int) -> Config:
    """They leave out that the embeddings are tied."""
    fixed = {"architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "hidden_act": "gelu_pytorch_tanh"}
    return {**fixed, "head_dim": head, "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "sliding_window": 4096, **shape}


def _gemma3(**text: Any) -> Config:
    """The language model in a member of its own, and of it only what differs from transformers' defaults."""
    text = {"model_type": "gemma3_text", "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, **text}
    return {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text}


def _olmo3(shape: Config, scaling: Config | None) -> Config:
    fixed = {"architectures": ["Olmo3ForCausalLM"], "model_type": "olmo3", "rms_norm_eps": 1e-06, "rope_theta": 500000}
    return {**fixed, "rope_scaling": scaling, "tie_word_embeddings": False, **shape}


_YARN_OF_OLMO = {
    "attention_factor": 1.2079441541679836, "beta_fast": 32.0, "beta_slow": 1.0, "factor": 8.0,
    "original_max_position_embeddings": 8192, "rope_type": "yarn",
}  # fmt: skip

GPT_OSS: Config = {
    "architectures": ["GptOssForCausalLM"],
    "model_type": "gpt_oss",
    "head_dim": 64,
    "rms_norm_eps": 1e-05,
    "rope_theta": 150000,
    "rope_scaling": {
        "beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings": 4096,
        "rope_type": "yarn", "truncate": False,
    },
    "tie_word_embeddings": False,
    "attention_bias": True,
}  # fmt: skip

MODELS: dict[str, Config] = {
    "Llama-2-7b": _llama(_shape(4096, 11008, 32, 32, 32, 32000)),
    "Llama-2-13b": _llama(_shape(5120, 13824, 40, 40, 40, 32000)),
    "Llama-2-70b": _llama(_shape(8192, 28672, 80, 64, 8, 32000)),
    "Llama-3-8B": _llama(_shape(4096, 14336, 32, 32, 8, 128256), rope_theta=500000.0),
    "Llama-3-70B": _llama(_shape(8192, 28672, 80, 64, 8, 128256), rope_theta=500000.0),
    "Llama-3.1-8B": _llama(_shape(4096, 14336, 32, 32, 8, 128256), **_scaled(8.0)),
    "Llama-3.1-70B": _llama(_shape(8192, 28672, 80, 64, 8, 128256), **_scaled(8.0)),
    "Llama-3.2-1B": _llama(
        _shape(2048, 8192, 16, 32, 8, 128256), **_scaled(32.0), head_dim=64, tie_word_embeddings=True
    ),
    "Llama-3.2-3B": _llama(
        _shape(3072, 8192, 28, 24, 8, 128256), **_scaled(32.0), head_dim=128, tie_word_embeddings=True
    ),
    "Llama-3.3-70B": _llama(_shape(8192, 28672, 80, 64, 8, 128256), **_scaled(8.0)),
    "TinyLlama-1.1B": _llama(_shape(2048, 5632, 22, 32, 4, 32000)),
    "SmolLM2-135M": _llama(
        _shape(576, 1536, 30, 9, 3, 49152), rope_theta=100000, tie_word_embeddings=True, rope_interleaved=False
    ),
    "Qwen2.5-0.5B": _qwen2(_shape(896, 4864, 24, 14, 2, 151936), True),
    "Qwen2.5-1.5B": _qwen2(_shape(1536, 8960, 28, 12, 2, 151936), True),
    "Qwen2.5-7B": _qwen2(_shape(3584, 18944, 28, 28, 4, 152064), False),
    "Qwen2.5-14B": _qwen2(_shape(5120, 13824, 48, 40, 8, 152064), False),
    "Qwen2.5-32B": _qwen2(_shape(5120, 27648, 64, 40, 8, 152064), False),
    "Qwen3-0.6B": _qwen3(_shape(1024, 3072, 28, 16, 8, 151936), True),
    "Qwen3-1.7B": _qwen3(_shape(2048, 6144, 28, 16, 8, 151936), True),
    "Qwen3-4B": _qwen3(_shape(2560, 9728, 36, 32, 8, 151936), True),
    "Qwen3-4B-Thinking-2507": _qwen3(_shape(2560, 9728, 36, 32, 8, 151936), True, rope_theta=5000000),
    "Qwen3-8B": _qwen3(_shape(4096, 12288, 36, 32, 8, 151936), False),
    "Qwen3-14B": _qwen3(_shape(5120, 17408, 40, 40, 8, 151936), False),
    "Qwen3-32B": _qwen3(_shape(5120, 25600, 64, 64, 8, 151936), False),
    "Qwen3-30B-A3B": _qwen3_moe(_shape(2048, 6144, 48, 32, 4, 151936), 128, moe_intermediate_size=768),
    "Qwen3-30B-A3B-Instruct-2507": _qwen3_moe(
        _shape(2048, 6144, 48, 32, 4, 151936), 128, moe_intermediate_size=768, rope_theta=10000000
    ),
    "Qwen3-235B-A22B-Instruct-2507": _qwen3_moe(
        _shape(4096, 12288, 94, 64, 4, 151936), 128, moe_intermediate_size=1536, rope_theta=5000000
    ),
    "Qwen3-Coder-480B-A35B": _qwen3_moe(
        _shape(6144, 8192, 62, 96, 8, 151936), 160, moe_intermediate_size=2560, rope_theta=10000000
    ),
    "gemma-2-2b": _gemma2(_shape(2304, 9216, 26, 8, 4, 256000), 256),
    "gemma-2-9b": _gemma2(_shape(3584, 14336, 42, 16, 8, 256000), 256),
    "gemma-2-27b": _gemma2(_shape(4608, 36864, 46, 32, 16, 256000), 128),
    "gemma-3-4b": _gemma3(hidden_size=2560, intermediate_size=10240, num_hidden_layers=34, sliding_window=1024),
    "gemma-3-12b": _gemma3(
        hidden_size=3840, intermediate_size=15360, num_attention_heads=16, num_hidden_layers=48, num_key_value_heads=8
    ),
    "gemma-3-27b": _gemma3(
        **_shape(5376, 21504, 62, 32, 16, 262208), head_dim=128, query_pre_attn_scalar=168, sliding_window=1024
    ),
    "Mixtral-8x7B": {
        **_shape(4096, 14336, 32, 32, 8, 32000),
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "num_local_experts": 8,
        "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0,
        "sliding_window": None,
        "tie_word_embeddings": False,
    },
    "DeepSeek-V2-Lite": {
        **_shape(2048, 10944, 27, 16, 16, 102400),
        "architectures": ["DeepseekV2ForCausalLM"],
        "model_type": "deepseek_v2",
        "n_routed_experts": 64,
        "kv_lora_rank": 512,
        "q_lora_rank": None,
        "qk_rope_head_dim": 64,
        "rms_norm_eps": 1e-06,
        "rope_theta": 10000,
        "rope_scaling": {
            "beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 0.707, "mscale_all_dim": 0.707,
            "original_max_position_embeddings": 4096, "type": "yarn",
        },
        "tie_word_embeddings": False,
    },
    "gpt-oss-20b": {**GPT_OSS, **_shape(2880, 2880, 24, 64, 8, 201088), "num_local_experts": 32},
    "gpt-oss-120b": {**GPT_OSS, **_shape(2880, 2880, 36, 64, 8, 201088), "num_local_experts": 128},
    "Olmo-3-7B": _olmo3(_shape(4096, 11008, 32, 32, 32, 100278), _YARN_OF_OLMO),
    "Olmo-3-7B before its long context": _olmo3(_shape(4096, 11008, 32, 32, 32, 100278), None),
    "Olmo-3-32B": _olmo3(_shape(5120, 27648, 64, 40, 8, 100278), _YARN_OF_OLMO),
    "Phi-3-mini": {
        **_shape(3072, 8192, 32, 32, 32, 32064), "architectures": ["Phi3ForCausalLM"], "model_type": "phi3",
    },
    "Falcon-7B": {
        "architectures": ["FalconForCausalLM"], "model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32,
    },
    "Mamba-2.8B": {"architectures": ["MambaForCausalLM"], "model_type": "mamba", "hidden_size": 2560, "n_layer": 64},
    "T5-base": {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "d_model": 768, "num_layers": 12},
    "Mistral-7B-v0.3": {
        **_shape(4096, 14336, 32, 32, 8, 32768),
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0,
        "sliding_window": None,
        "tie_word_embeddings": False,
    },
}  # fmt: skip
