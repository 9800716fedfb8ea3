"""Models against the machines that are asked for them: context, attention heads, memory; by config.json and the headers
of the weights alone.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from distillation_api import reasons
from distillation_api.contract import PlannedGeneration, PlannedTraining
from distillation_stages.models.model_config import HuggingFaceConfig, language_config
from distillation_stages.models.weights import Tensor
from distillation_stages.runtime.failure import StageError

GIB = 2**30

CONTEXT_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_target_positions",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)
"""Members of config.json that bound the context; as vLLM has it, the smallest counts."""

FACTOR_IN_CONTEXT = ("default", "su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling", "mrope")
"""Kinds of RoPE scaling whose factor the context of config.json has in it already."""

SHARE_FOR_VLLM = 0.9
"""Of an accelerator's memory; vLLM's default."""

SERVED_BYTES = 2
"""Of a weight in vLLM, which computes in bfloat16 whatever the files hold; quantised ones are smaller."""


def context_length(config: HuggingFaceConfig) -> int | None:
    """The longest sequence that a model takes, in tokens; None when config.json doesn't say."""
    own = language_config(config)
    lengths = [own[key] for key in CONTEXT_KEYS if isinstance(own.get(key), int) and own[key] > 0]
    if not lengths:
        return None
    longest = own["model_max_length"] if isinstance(own.get("model_max_length"), int) else min(lengths)
    return int(longest * max([1.0, *_rope_factors(own)])) if "gemma3" not in str(own.get("model_type")) else longest


def _rope_factors(config: HuggingFaceConfig) -> Iterable[float]:
    for name in ("rope_scaling", "rope_parameters"):
        scaling = config.get(name)
        # Per kind of layer, in files that transformers 5 writes of some families.
        each = [scaling, *scaling.values()] if isinstance(scaling, Mapping) else []
        for one in each:
            if isinstance(one, Mapping) and isinstance(one.get("factor"), int | float):
                kind = one.get("rope_type", one.get("type", "default"))
                if kind not in FACTOR_IN_CONTEXT:
                    yield float(one["factor"])


def check_generation_context(config: HuggingFaceConfig, planned: PlannedGeneration) -> None:
    """Raises StageError for a generation.maxModelLen that vLLM would refuse."""
    _check_context(
        config,
        planned.max_model_len,
        f"generation.maxModelLen {planned.max_model_len}",
        "the teacher",
        ", and sampling.maxTokens below that",
    )


def check_training_context(config: HuggingFaceConfig, planned: PlannedTraining) -> None:
    """Raises StageError for a maxTargetLength that the student has no positions for."""
    length = planned.max_target_length
    _check_context(config, length, f"maxTargetLength {length} of training stage {planned.name}", "the student")


def _check_context(config: HuggingFaceConfig, length: int, field: str, whose: str, also: str = "") -> None:
    longest = context_length(config)
    if longest is not None and length > longest:
        raise StageError(
            reasons.CONTEXT_TOO_SHORT,
            f"{field} is more than the {longest} tokens of {whose}'s context (config.json); lower it to at most "
            f"{longest}{also}",
        )


def check_served_heads(config: HuggingFaceConfig, planned: PlannedGeneration) -> None:
    """Raises StageError when vLLM couldn't share out the teacher's attention heads to the devices of one host."""
    _check_heads(
        config,
        planned.tensor_parallelism,
        "the teacher",
        "generation.accelerator: one host's devices serve one replica",
    )


def check_trained_heads(config: HuggingFaceConfig, planned: PlannedTraining) -> None:
    """Raises StageError when MaxText couldn't share out the student's attention heads to the axis tensor."""
    _check_heads(config, planned.tensor_parallelism, "the student", f"parallelism.tensor of stage {planned.name}")


def _check_heads(config: HuggingFaceConfig, devices: int, whose: str, field: str) -> None:
    own = language_config(config)
    heads = _first(own, "num_attention_heads", "n_head", "n_heads")
    if heads is None or devices == 1:
        return
    possible = [count for count in (1, 2, 4, 8, 16, 32) if heads % count == 0]
    if heads % devices:
        raise StageError(
            reasons.HEADS_NOT_DIVISIBLE,
            f"{whose} has {heads} attention heads, which {devices} devices can't share evenly ({field}); take "
            f"{' or '.join(map(str, possible))}",
        )
    groups = _first(own, "num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
    # Multi-head latent attention keeps no heads apart in its cache.
    if groups and "kv_lora_rank" not in own and groups % devices and devices % groups:
        raise StageError(
            reasons.HEADS_NOT_DIVISIBLE,
            f"{whose} has {groups} key and value heads, which {devices} devices can neither share evenly nor hold in "
            f"whole copies ({field}); take {' or '.join(str(count) for count in possible if not groups % count)}",
        )


def check_served_memory(config: HuggingFaceConfig, weights: Mapping[str, Tensor], planned: PlannedGeneration) -> None:
    """Raises StageError when the teacher and the cache of a single sequence exceed the memory of the chips."""
    if planned.accelerator_gib is None:
        return
    needed = sum(math.prod(tensor.shape) * min(tensor.bytes, SERVED_BYTES) for tensor in weights.values())
    cache = cache_bytes_per_token(config) * planned.max_model_len
    room = planned.accelerator_gib * GIB * SHARE_FOR_VLLM
    if needed + cache > room:
        raise StageError(
            reasons.MODEL_EXCEEDS_CHIPS,
            f"the teacher takes {_gib(needed)} of weights and {_gib(cache)} of cache for one sequence of "
            f"generation.maxModelLen {planned.max_model_len}; vLLM has {SHARE_FOR_VLLM:.0%} of the "
            f"{planned.accelerator_gib} GiB that the chips of generation.accelerator's host have. Take a host with "
            "more memory" + (", or lower generation.maxModelLen" if needed < room else ", or a smaller teacher"),
        )


def cache_bytes_per_token(config: HuggingFaceConfig) -> int:
    """What one token takes of vLLM's cache over all layers, at least: 0 where config.json doesn't say."""
    own = language_config(config)
    layers = _first(own, "num_hidden_layers", "n_layer", "n_layers") or 0
    if isinstance(own.get("kv_lora_rank"), int):
        return layers * SERVED_BYTES * (int(own["kv_lora_rank"]) + int(own.get("qk_rope_head_dim") or 0))
    if own.get("sliding_window") or own.get("layer_types"):
        # Most layers of these keep a window only.
        return 0
    heads = _first(own, "num_attention_heads") or 0
    groups = _first(own, "num_key_value_heads", "num_kv_heads") or heads
    width = own.get("head_dim") or (int(own.get("hidden_size") or 0) // heads if heads else 0)
    return int(2 * layers * groups * width * SERVED_BYTES)


def check_trained_memory(student: int, teacher: int, planned: PlannedTraining) -> None:
    """Raises StageError when weights and optimizer exceed a device's memory, before activations.

    ``student``, ``teacher``: their numbers of parameters.
    """
    if planned.chip_gib is None:
        return
    needed = student * planned.bytes_per_parameter + (teacher * SERVED_BYTES if planned.runs_teacher else 0)
    per_device = needed / planned.weight_shards
    if per_device > planned.chip_gib * GIB:
        devices = math.ceil(needed / (planned.chip_gib * GIB))
        beside = f" and the teacher's {teacher / 1e9:.1f} billion" if planned.runs_teacher else ""
        raise StageError(
            reasons.MODEL_EXCEEDS_CHIPS,
            f"training stage {planned.name} takes {_gib(needed)} for the student's {student / 1e9:.1f} billion "
            f"parameters with their optimizer{beside}, so {_gib(per_device)} on each of {planned.weight_shards} "
            f"devices with {planned.chip_gib} GiB, and activations come on top. Spread the weights over more than "
            f"{devices} devices of one slice (training.accelerator.topology; the axis data of parallelism makes "
            "copies), or set weightDtype bfloat16",
        )


def _first(config: Mapping[str, Any], *names: str) -> int | None:
    return next((config[name] for name in names if isinstance(config.get(name), int) and config[name] > 0), None)


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB"
