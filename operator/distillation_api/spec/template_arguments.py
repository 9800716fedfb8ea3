"""What a manifest hands to a chat template as variables."""

from typing import Annotated

from pydantic import Field, StringConstraints

from distillation_api.cel import Rule, no_key
from distillation_api.model import Rules

NAME_PATTERN = "^[a-z_][a-z0-9_]{0,63}$"
"""Of a variable of Jinja's, as templates name theirs."""

RESERVED = (
    # What the renderer itself hands to the template, or takes before it.
    "messages", "conversation", "tools", "documents", "add_generation_prompt", "continue_final_message", "tokenize",
    "tokenizer", "chat_template", "return_dict", "return_tensors", "truncation", "padding", "max_length",
    "bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token",
    "raise_exception", "strftime_now",
    # Jinja's own words.
    "true", "false", "none", "and", "or", "not", "in", "is", "if", "else", "loop", "self", "super", "caller",
    "namespace", "range", "dict",
)  # fmt: skip

_FIELD = "chatTemplateArguments"
_WRONG_NAMES = {
    f"!k.matches('{NAME_PATTERN}')": (
        f"{_FIELD} are variables of the template: at most 64 lower case letters, digits and underscores, no digit first"
    ),
    f"k.matches('^({'|'.join(RESERVED)})$')": f"{_FIELD} must not set what the renderer itself hands to templates",
}


def _rules() -> list[Rule]:
    return [no_key(wrong, message, f"'{message}: ' + k") for wrong, message in _WRONG_NAMES.items()]


TemplateArguments = Annotated[
    dict[str, Annotated[str, StringConstraints(max_length=256)]], Field(max_length=16), Rules(*_rules())
]
"""Names are bounded by the rules: a structural schema knows nothing of a map's keys."""
