"""What a teacher needs of vLLM on a TPU: environment and arguments of the engine, or why it can't be served there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from distillation_api import reasons
from distillation_stages.models.model_config import HuggingFaceConfig, architectures, language_config
from distillation_stages.models.quantisation import MEMBERS, method_of
from distillation_stages.models.served_architectures import SERVED
from distillation_stages.models.tpu_architectures import (
    DEEPSEEK_V3_IN_JAX,
    LATENT_ATTENTION,
    QUANTISED,
    QUANTISED_IN_JAX,
    Architecture,
    Implementation,
    architecture,
)
from distillation_stages.runtime.failure import StageError

LATENT_ENVIRONMENT = {"NEW_MODEL_DESIGN": "1"}
"""Without both of these the platform raises ValueError for multi-head latent attention (TI, tpu_platform)."""

LATENT_ARGUMENTS: Mapping[str, Any] = {
    "additional_config": {"sharding": {"sharding_strategy": {"enable_dp_attention": True}}}
}

REMEDY = "Take another teacher in spec.teacher, or leave generation.accelerator out, which lets generation run on CPU"


@dataclass(frozen=True)
class TpuEngine:
    """How a teacher is run."""

    implementation: Implementation
    known: str
    """What is known of its architecture, as a user is told."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that have to be set before vLLM is imported."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of vLLM's engine, beside those of every teacher."""


def tpu_engine(config: HuggingFaceConfig) -> TpuEngine:
    """What the teacher with this config.json needs. Raises StageError when it can't be served on a TPU."""
    name = _only_architecture(config)
    found = architecture(name)
    if found.refused:
        raise _refused(f"the teacher's architecture {name} can't run: {found.refused}")
    method = _method(config)
    implementation = _implementation(config, name, found, method)
    environment: dict[str, str] = {}
    if implementation != found.implementation:
        environment["MODEL_IMPL_TYPE"] = implementation
    latent = has_latent_attention(config, name)
    if latent:
        environment |= LATENT_ENVIRONMENT
    return TpuEngine(
        implementation, _known(name, found, implementation), environment, LATENT_ARGUMENTS if latent else {}
    )


def _only_architecture(config: HuggingFaceConfig) -> str:
    names = architectures(config)
    if len(names) != 1:
        raise _refused(
            f"config.json of the teacher names {len(names)} architectures ({', '.join(names) or 'none'}), where there "
            "it has to be exactly one; leave the one that vLLM is to run the teacher as"
        )
    return names[0]


def _method(config: HuggingFaceConfig) -> str | None:
    """The method of quantised weights, as vLLM calls it; None for plain ones. Raises StageError for one of others."""
    written = method_of(config)
    if written is None:
        return None
    method = _vllms_name(written, config)
    if method not in QUANTISED:
        raise _refused(
            f"the teacher's weights are quantised by {written} (quantization_config of config.json), which vLLM takes "
            f"on TPUs of none but {', '.join(sorted(QUANTISED))}; give the repository that this one was quantised from"
        )
    return method


def _vllms_name(written: str, config: HuggingFaceConfig) -> str:
    own = language_config(config)
    if written == "awq":
        return "auto_awq"
    if written == "mxfp4" and own.get("model_type") == "gpt_oss":
        return "gpt_oss_mxfp4"
    if written == "fp8" and own.get("model_type") == "deepseek_v4":
        return "deepseek_v4_fp8"
    if written == "modelopt" and "FP4" in _algorithm(config):
        return "modelopt_fp4"
    return written


def _algorithm(config: HuggingFaceConfig) -> str:
    """ModelOpt's, which stands in one of two places."""
    for member in MEMBERS:
        quantisation = config.get(member)
        if isinstance(quantisation, Mapping):
            nested = quantisation.get("quantization")
            inner = nested.get("quant_algo") if isinstance(nested, Mapping) else None
            return str(quantisation.get("quant_algo") or inner or "").upper()
    return ""


def _implementation(config: HuggingFaceConfig, name: str, found: Architecture, method: str | None) -> Implementation:
    """The package's own choice, but where that is known to be wrong for this model."""
    if found.implementation == "vllm":
        return "vllm"
    if method is not None and method not in QUANTISED_IN_JAX:
        return "vllm"
    own = language_config(config)
    if name == "DeepseekV3ForCausalLM" and any(own.get(key) != size for key, size in DEEPSEEK_V3_IN_JAX.items()):
        return "vllm"
    # In JAX this name stands for Llama Guard 4, which has no experts.
    experts = own.get("num_local_experts")
    if name == "Llama4ForConditionalGeneration" and isinstance(experts, int) and experts > 1:
        return "vllm"
    return found.implementation


def has_latent_attention(config: HuggingFaceConfig, name: str) -> bool:
    """Whether vLLM runs the model by multi-head latent attention. ``name``: its architecture."""
    own = language_config(config)
    if name in SERVED:
        if own.get("model_type") not in LATENT_ATTENTION or own.get("is_causal", True) is False:
            return False
        return own.get("head_dim" if "compress_ratios" in own else "kv_lora_rank") is not None
    # By transformers' code.
    return own.get("kv_lora_rank") is not None


def _known(name: str, found: Architecture, implementation: Implementation) -> str:
    code = "tpu-inference's code in JAX" if implementation == "flax_nnx" else "vLLM's code in PyTorch, by torchax"
    if found.tested and implementation == found.implementation:
        return f"{name} is run by {code}; its authors test {found.tested}"
    note = f": {found.note}" if found.note else ""
    return f"{name} is run by {code}; nobody is known to test it{note}"


def _refused(message: str) -> StageError:
    return StageError(reasons.TEACHER_NOT_SERVED, f"generation.accelerator asks for TPUs, and {message}. {REMEDY}")
