"""A model directory's config.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distillation_api import reasons
from distillation_stages.runtime.failure import StageError

HuggingFaceConfig = Mapping[str, Any]


def read_config(model: Path) -> HuggingFaceConfig:
    """The model directory's config.json."""
    try:
        config = json.loads((model / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise StageError(reasons.BAD_MODEL_CONFIG, f"{model}/config.json can't be read: {error}") from error
    if not isinstance(config, dict):
        raise StageError(reasons.BAD_MODEL_CONFIG, f"{model}/config.json holds {type(config).__name__}, not an object")
    return config
