"""A model directory's weights, by the headers of its safetensors files."""

import json
import math
import re
from pathlib import Path

from distillation_api import reasons
from distillation_stages.runtime.failure import StageError


def parameters_of(model: Path) -> int:
    """The number of parameters in the directory's safetensors files, from their headers."""
    return sum(math.prod(shape) for name, shape in tensors_of(model).items() if not re.search(ROTARY_BUFFER, name))


ROTARY_BUFFER = r"rotary_emb\.inv_freq$"
"""Old checkpoints (Llama 2's, say) store it for each layer; transformers computes it and reads none of them."""


def ignored_patterns(model: Path) -> set[str]:
    """Patterns of the tensors that transformers passes over when it loads the model: they are no weights of it."""
    import torch
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(model)
        with torch.device("meta"):
            loaded = transformers.AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError):
        return {ROTARY_BUFFER}
    return {ROTARY_BUFFER, *(loaded._keys_to_ignore_on_load_unexpected or ())}


def tensors_of(model: Path) -> dict[str, list[int]]:
    """The shape of each tensor in the directory's safetensors files, from their headers."""
    files = sorted(model.glob("*.safetensors"))
    if not files:
        raise StageError(
            reasons.NO_SAFETENSORS, f"{model} holds no *.safetensors file; MaxText converts no other format"
        )
    shapes: dict[str, list[int]] = {}
    for path in files:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        shapes |= {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"}
    return shapes
