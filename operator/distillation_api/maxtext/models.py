"""The models that MaxText 0.2.3 both trains and converts from and to Hugging Face, by its own names.

From its configuration's ``ModelName`` and its conversion tables, and the names of the families that the converter sizes
by a checkpoint's config.json; a test compares them with the installed MaxText. Other names are refused at apply.
"""

import re
from itertools import groupby
from typing import Annotated

from pydantic import Field

from distillation_api.cel import Rule

MAX_TEXT_MODELS = (
    "deepseek2-16b", "deepseek3-671b", "deepseek3.2-671b", "gemma2-27b", "gemma2-2b", "gemma2-9b", "gemma3-12b",
    "gemma3-27b", "gemma3-4b", "gemma4-26b", "gemma4-31b", "gemma4-e2b", "gemma4-e4b", "gpt-oss-120b",
    "gpt-oss-20b", "llama2-13b", "llama2-70b", "llama2-7b", "llama3-70b", "llama3-8b", "llama3.1-405b",
    "llama3.1-70b", "llama3.1-8b", "llama3.1-8b-Instruct", "llama3.3-70b", "mixtral-8x22b", "mixtral-8x7b",
    "olmo3-32b", "olmo3-7b", "olmo3-7b-pt", "qwen2.5-1.5b", "qwen2.5-14b", "qwen2.5-7b", "qwen3-0.6b",
    "qwen3-1.7b", "qwen3-1.7b-base", "qwen3-14b", "qwen3-14b-base", "qwen3-235b-a22b", "qwen3-30b-a3b",
    "qwen3-30b-a3b-base", "qwen3-32b", "qwen3-480b-a35b", "qwen3-4b", "qwen3-4b-base", "qwen3-4b-thinking-2507",
    "qwen3-8b", "qwen3-8b-base", "qwen3-next-80b-a3b", "qwen3-omni-30b-a3b", "qwen3.5-35b-a3b",
    "qwen3.5-397b-a17b",
)  # fmt: skip


def _series(name: str) -> str:
    """The letters that a name begins with, such as llama: what a misspelt one shares with the right one."""
    return re.split(r"[-\d]", name)[0]


_BY_SERIES = {series: tuple(names) for series, names in groupby(MAX_TEXT_MODELS, key=_series)}


def _rule() -> Rule:
    """One of the names; the message has those of the series that the wrong one speaks of: all would be too many."""
    series = "|".join(
        f"{series}({'|'.join(name.removeprefix(series) for name in names)})" for series, names in _BY_SERIES.items()
    )
    listed = "".join(f"self.matches('(?i){series}') ? '{', '.join(names)}' : " for series, names in _BY_SERIES.items())
    others = f"names that begin with {', '.join(_BY_SERIES)}"
    otherwise = "; left out, it is found from config.json"
    return Rule(
        f"self.matches('^({series.replace('.', '[.]')})$')",
        "must be MaxText's own name of a model",
        message_expression=f"self + ' is no model of MaxText; it has ' + ({listed}'{others}') + '{otherwise}'",
    )


MaxTextModel = Annotated[
    str, Field(max_length=64, json_schema_extra={"x-kubernetes-validations": [_rule().to_json_dict()]})
]
