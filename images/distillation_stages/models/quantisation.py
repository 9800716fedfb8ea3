"""Whether a model's weights are quantised: neither MaxText's converter nor training can read those."""

import json
from collections.abc import Mapping
from pathlib import Path

from distillation_api import reasons
from distillation_stages.models.model_config import LANGUAGE_PARTS, HuggingFaceConfig, read_config
from distillation_stages.runtime.failure import StageError

MEMBERS = ("quantization_config", "compression_config")
"""Of config.json; the second is how compressed-tensors wrote it first."""

MLX = "quantization"
"""Of config.json too, with a number of bits: how MLX writes it, mostly without any of the others."""

FILES = ("hf_quant_config.json", "quantize_config.json", "quant_config.json")
"""Beside a config.json that is silent: written by ModelOpt, AutoGPTQ and AutoAWQ."""


def require_unquantised(model: Path) -> None:
    """Raise StageError for a model directory whose weights are quantised. Only config.json and its like are read."""
    method = method_of(read_config(model)) or _method_of_files(model)
    if method is not None:
        raise StageError(
            reasons.QUANTISED_MODEL,
            f"{model.name}: the weights are quantised by {method}; a model that MaxText trains or runs must have plain "
            "weights (bfloat16, float16 or float32): give the repository that this one was quantised from",
        )


def method_of(config: HuggingFaceConfig) -> str | None:
    """The method by which a config.json says that the weights are quantised; None for plain weights."""
    for part in (config, *(config.get(name) for name in LANGUAGE_PARTS)):
        if not isinstance(part, Mapping):
            continue
        mlx = part.get(MLX)
        is_mlx = isinstance(mlx, Mapping) and "bits" in mlx
        for member in (*MEMBERS, *([MLX] if is_mlx else [])):
            quantisation = part.get(member)
            if isinstance(quantisation, Mapping) and quantisation:
                method = _method(quantisation, "MLX" if is_mlx else "an unnamed method")
                if method is not None:
                    return method
    return None


def _method(quantisation: Mapping[str, object], unnamed: str) -> str | None:
    loads = [bool(quantisation[name]) for name in ("load_in_4bit", "load_in_8bit") if name in quantisation]
    method = str(quantisation.get("quant_method") or ("bitsandbytes" if loads else unnamed))
    # Written by trainings that load a plain model through bitsandbytes' options with both switched off.
    return None if method == "bitsandbytes" and loads and not any(loads) else method


def _method_of_files(model: Path) -> str | None:
    return next((f"the method of {name}" for name in FILES if _is_object(model / name)), None)


def _is_object(path: Path) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and bool(content)
