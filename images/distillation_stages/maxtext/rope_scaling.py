"""RoPE scaling of Llama 3: its four numbers are written into MaxText's code; here they come from config.json.

They travel with a checkpoint's settings, under a name that MaxText doesn't know: ``arguments`` leaves it out, and
whoever runs MaxText patches them in, for each checkpoint that it loads: Llama 3.1 teaches Llama 3.2 in one process. A
checkpoint with the numbers that MaxText has by itself carries none.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distillation_api import reasons
from distillation_stages.runtime.failure import StageError

SETTING = "llama3_rope_scaling"
"""Of a checkpoint's settings: the four numbers as JSON."""
MAXTEXTS_OWN = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
"""As they stand in MaxText's code."""

Settings = Mapping[str, Any]
Numbers = Mapping[str, float]


def setting_of(scaling: Mapping[str, Any]) -> dict[str, str]:
    """The setting for the ``rope_scaling`` of a config.json; none for MaxText's own numbers. Raises StageError."""
    kind = scaling.get("rope_type", scaling.get("type"))
    values = {name: scaling.get(name) for name in MAXTEXTS_OWN}
    if kind != "llama3" or not all(isinstance(value, int | float) and value > 0 for value in values.values()):
        raise StageError(
            reasons.UNSUPPORTED_ROPE_SCALING,
            f"config.json scales RoPE by {kind} with {values}; supported is llama3 with a number for each of "
            f"{', '.join(MAXTEXTS_OWN)}",
        )
    return {} if values == MAXTEXTS_OWN else {SETTING: json.dumps(values, sort_keys=True)}


def patch_rope_scaling(attention: Any, rotary_embedding: Any, scalings: Mapping[str, Numbers | None]) -> None:
    """Let each model scale by its own numbers; ``attention`` and ``rotary_embedding`` are MaxText's classes.

    ``scalings``: by ``load_parameters_path``, in which the models of a process differ; None for MaxText's own numbers.
    """
    init, apply = attention.init_rotary_embedding, rotary_embedding._apply_scaling_factor

    def init_rotary_embedding(self: Any) -> Any:
        embedding = init(self)
        if isinstance(embedding, rotary_embedding) and embedding.use_scale:
            path = str(self.config.load_parameters_path)
            if path not in scalings:
                raise ValueError(
                    f"no RoPE scaling is known for the checkpoint {path!r}, only for {', '.join(scalings)}"
                )
            numbers = scalings[path]
            # A tuple is a constant for Flax, which looks for parameters in a dictionary.
            embedding.scaling_numbers = tuple(numbers[name] for name in MAXTEXTS_OWN) if numbers else None
        return embedding

    def _apply_scaling_factor(self: Any, freq: Any) -> Any:
        import jax.numpy as jnp

        numbers = getattr(self, "scaling_numbers", None)
        if numbers is None:
            return apply(self, freq)
        factor, low, high, length = numbers
        wavelength = 2 * jnp.pi / freq
        smooth = (length / wavelength - low) / (high - low)
        between = (1 - smooth) * freq / factor + smooth * freq
        long = jnp.where(wavelength > length / low, freq / factor, between)
        return jnp.where(wavelength < length / high, freq, long)

    attention.init_rotary_embedding = init_rotary_embedding
    rotary_embedding._apply_scaling_factor = _apply_scaling_factor


@contextmanager
def scaled_as(settings: Settings, checkpoint: Path) -> Iterator[None]:
    """MaxText in this process, scaling the checkpoint's RoPE as its settings say."""
    from maxtext.layers.attentions import Attention
    from maxtext.layers.embeddings import LLaMARotaryEmbedding

    init, apply = Attention.init_rotary_embedding, LLaMARotaryEmbedding._apply_scaling_factor
    patch_rope_scaling(Attention, LLaMARotaryEmbedding, {str(checkpoint): numbers_of(settings)})
    try:
        yield
    finally:
        Attention.init_rotary_embedding, LLaMARotaryEmbedding._apply_scaling_factor = init, apply


def numbers_of(settings: Settings) -> Numbers | None:
    """The numbers that a checkpoint's settings carry; None for MaxText's own."""
    return json.loads(str(settings[SETTING])) if SETTING in settings else None


def start_argument(models: Mapping[Path, Settings]) -> list[str]:
    """What the start of a trainer is told besides MaxText's own arguments, of the checkpoints that it loads."""
    scalings = {str(path): numbers_of(settings) for path, settings in models.items()}
    return [f"{SETTING}={json.dumps(scalings)}"] if any(scalings.values()) else []


def maxtexts_own[T](settings: Mapping[str, T]) -> dict[str, T]:
    """The settings that are MaxText's own."""
    return {name: value for name, value in settings.items() if name != SETTING}
