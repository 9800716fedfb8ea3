"""RoPE scaling of Llama 3: its four numbers are written into MaxText's code; here they come from config.json.

They travel with a checkpoint's settings, under a name that MaxText doesn't know: ``arguments`` leaves it out, and
whoever runs MaxText patches them in. A checkpoint with the numbers that MaxText has by itself carries none.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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


def patch_rope_scaling(rotary_embedding: Any, text: str) -> None:
    """Let Llama's rotary embedding (``rotary_embedding`` is MaxText's class) scale by these numbers."""
    values = json.loads(text)
    factor, length = values["factor"], values["original_max_position_embeddings"]
    low, high = values["low_freq_factor"], values["high_freq_factor"]

    def _apply_scaling_factor(self: Any, freq: Any) -> Any:
        import jax.numpy as jnp

        wavelength = 2 * jnp.pi / freq
        smooth = (length / wavelength - low) / (high - low)
        between = (1 - smooth) * freq / factor + smooth * freq
        long = jnp.where(wavelength > length / low, freq / factor, between)
        return jnp.where(wavelength < length / high, freq, long)

    rotary_embedding._apply_scaling_factor = _apply_scaling_factor


@contextmanager
def scaled_as(settings: Settings) -> Iterator[None]:
    """MaxText in this process, scaling as a checkpoint's settings say."""
    from maxtext.layers.embeddings import LLaMARotaryEmbedding

    own = LLaMARotaryEmbedding._apply_scaling_factor
    if SETTING in settings:
        patch_rope_scaling(LLaMARotaryEmbedding, str(settings[SETTING]))
    try:
        yield
    finally:
        LLaMARotaryEmbedding._apply_scaling_factor = own


def start_argument(settings: Settings) -> list[str]:
    """What the start of a trainer is told besides MaxText's own arguments."""
    return [f"{SETTING}={settings[SETTING]}"] if SETTING in settings else []


def check_same(student: Settings, teacher: Settings) -> None:
    """Raise StageError for two models that one process can't run: both take their scaling from one class."""
    if student.get(SETTING) != teacher.get(SETTING):
        shown = [json.loads(str(one.get(SETTING, json.dumps(MAXTEXTS_OWN)))) for one in (student, teacher)]
        raise StageError(
            reasons.UNSUPPORTED_ROPE_SCALING,
            f"the student scales RoPE by {shown[0]}, the teacher by {shown[1]}: logit matching runs both in one "
            "process and needs the same; train on the teacher's answers instead",
        )
