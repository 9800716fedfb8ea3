"""A model directory's weights, by the headers of its safetensors files."""

import json
import math
from pathlib import Path

from distillation_api import reasons
from distillation_stages.runtime.failure import StageError


def parameters_of(model: Path) -> int:
    """The number of parameters in the directory's safetensors files, from their headers."""
    return sum(math.prod(shape) for shape in tensors_of(model).values())


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
