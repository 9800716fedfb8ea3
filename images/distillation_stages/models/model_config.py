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


def architectures(config: HuggingFaceConfig) -> list[str]:
    """The classes that the model's author names for it; none where the member is missing or no list."""
    names = config.get("architectures")
    return [str(name) for name in names] if isinstance(names, list) else []


LANGUAGE_PARTS = ("text_config", "llm_config", "language_config")
"""Members of config.json that hold the language model's own configuration, for models of several parts."""


def language_config(config: HuggingFaceConfig) -> HuggingFaceConfig:
    """The language model's own configuration: the whole, or of a model of several parts that part, over the whole."""
    parts = (config.get(name) for name in LANGUAGE_PARTS)
    return {**config, **next((part for part in parts if isinstance(part, Mapping)), {})}


def end_tokens(value: object) -> list[int]:
    """The tokens at which a configuration's ``eos_token_id`` says that a model ends: one, several or none."""
    return [] if value is None else value if isinstance(value, list) else [value]  # type: ignore[list-item]
