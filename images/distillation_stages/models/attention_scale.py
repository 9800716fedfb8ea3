"""The scale of attention in models whose implementation in transformers leaves a part of it out.

The authors of ``deepseek_v2`` multiply the scale by a factor of YaRN's (``mscale_all_dim``), as vLLM and MaxText do;
transformers 5.12 does so for ``deepseek_v3`` only. Without it the logits are those of another model.
"""

import math
from typing import Any


def mend_attention_scale(model: Any) -> None:
    """Give a loaded ``deepseek_v2`` its authors' scale; all other models, and one that has it, stay as they are."""
    config = model.config
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    share = rope.get("mscale_all_dim")
    if config.model_type != "deepseek_v2" or not share:
        return
    factor = 0.1 * share * math.log(rope["factor"]) + 1.0
    for layer in model.model.layers:
        attention = layer.self_attn
        if math.isclose(attention.scaling, attention.qk_head_dim**-0.5):
            attention.scaling *= factor * factor
