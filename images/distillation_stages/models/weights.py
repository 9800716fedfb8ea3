"""A model directory's weights, by the headers of its safetensors files."""

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillation_api import reasons
from distillation_stages.runtime.failure import StageError


def parameters_of(model: Path) -> int:
    """The number of parameters in the directory's safetensors files, from their headers."""
    return count_parameters(weights_of(model))


def weights_of(model: Path) -> dict[str, "Tensor"]:
    """Each tensor in the directory's safetensors files but rotary buffers, from their headers."""
    return {name: tensor for name, tensor in headers_of(model).items() if not re.search(ROTARY_BUFFER, name)}


def count_parameters(weights: Mapping[str, "Tensor"]) -> int:
    """The numbers in the tensors."""
    return sum(math.prod(tensor.shape) for tensor in weights.values())


ROTARY_BUFFER = r"rotary_emb\.inv_freq$"
"""Old checkpoints (Llama 2's, say) store it for each layer; transformers computes it and reads none of them."""


def ignored_by_transformers(model: Path, names: Collection[str]) -> set[str]:
    """Those of the tensors' names that transformers passes over when it loads the model: they are no weights of it.

    It is asked itself, as it asks itself after loading. Of a model that it can't build, rotary buffers alone are known.
    """
    import torch
    import transformers

    found = LoadingInfo(set(names))
    try:
        config = transformers.AutoConfig.from_pretrained(model, trust_remote_code=False)
        with torch.device("meta"):
            built = transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError):
        return {name for name in found.unexpected_keys if re.search(ROTARY_BUFFER, name)}
    built._adjust_missing_and_unexpected_keys(found)
    return set(names) - found.unexpected_keys


@dataclass
class LoadingInfo:
    """The part of transformers' report on a loaded model that it mends by its list of exceptions."""

    unexpected_keys: set[str]
    missing_keys: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Tensor:
    """A tensor of a safetensors file."""

    shape: list[int]
    bytes: float
    """Of one of its numbers."""


def tensors_of(model: Path) -> dict[str, list[int]]:
    """The shape of each tensor in the directory's safetensors files, from their headers."""
    return {name: tensor.shape for name, tensor in headers_of(model).items()}


def headers_of(model: Path) -> dict[str, Tensor]:
    """Each tensor in the directory's safetensors files, from their headers."""
    files = sorted(model.glob("*.safetensors"))
    if not files:
        raise StageError(
            reasons.NO_SAFETENSORS, f"{model} holds no *.safetensors file; MaxText converts no other format"
        )
    tensors: dict[str, Tensor] = {}
    for path in files:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        tensors |= {name: _tensor(entry) for name, entry in header.items() if name != "__metadata__"}
    return tensors


def _tensor(entry: Mapping[str, Any]) -> Tensor:
    first, last = entry["data_offsets"]
    numbers = math.prod(entry["shape"])
    return Tensor(entry["shape"], (last - first) / numbers if numbers else 0)
