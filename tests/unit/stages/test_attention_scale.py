"""The attention of deepseek_v2 is scaled as by its authors, who are the yardstick of conversion and evaluation."""

from types import SimpleNamespace
from typing import Any

import pytest

from distillation_stages.models.attention_scale import mend_attention_scale

YARN = {"rope_type": "yarn", "factor": 40, "mscale": 0.707, "mscale_all_dim": 0.707}


def model(model_type: str, rope: dict[str, Any] | None) -> Any:
    """Two layers as transformers loads them."""
    layers = [SimpleNamespace(self_attn=SimpleNamespace(qk_head_dim=192, scaling=192**-0.5)) for _ in range(2)]
    return SimpleNamespace(
        config=SimpleNamespace(model_type=model_type, rope_parameters=rope), model=SimpleNamespace(layers=layers)
    )


def scales(loaded: Any) -> list[float]:
    return [layer.self_attn.scaling * 192**0.5 for layer in loaded.model.layers]


def test_the_factor_of_yarn_is_there_once() -> None:
    loaded = model("deepseek_v2", YARN)
    for _ in range(2):
        mend_attention_scale(loaded)
        # The factor in its authors' own code: (0.1 * 0.707 * ln 40 + 1) squared.
        assert scales(loaded) == pytest.approx([1.5896] * 2, abs=1e-4)


@pytest.mark.parametrize(
    ("model_type", "rope"), [("deepseek_v3", YARN), ("llama", None), ("deepseek_v2", {"rope_type": "default"})]
)
def test_others_stay_as_they_are(model_type: str, rope: dict[str, Any] | None) -> None:
    loaded = model(model_type, rope)
    mend_attention_scale(loaded)
    assert scales(loaded) == pytest.approx([1.0] * 2)
