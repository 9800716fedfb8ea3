"""Secrets of the pod's environment: read in one place, and kept out of everything that a program tells."""

import os

from distillation_api import reasons
from distillation_api.contract import SECRET_VARIABLES_ENV
from distillation_stages.runtime.failure import StageError

HUB_TOKEN = "HF_TOKEN"
_SHORTEST = 4
"""Shorter pieces of a secret are no secret: hiding them would hide words."""

HIDDEN = "***"


def secret(variable: str) -> str | None:
    """The variable's value without blanks at its ends; None when there is none.

    Raises StageError for what is no single line of printable ASCII: a library would quote it in its error.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        return None
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise StageError(
            reasons.BAD_TOKEN,
            f"the value of the Secret in spec.huggingFaceToken (it becomes {variable}) is not one line of printable "
            f"ASCII without blanks ({len(value)} characters); put the token alone into the key that "
            "spec.huggingFaceToken.key names",
        )
    return value


def without_secrets(text: str) -> str:
    """The text with every secret, and every line of one, hidden."""
    for variable in (HUB_TOKEN, *os.environ.get(SECRET_VARIABLES_ENV, "").split(",")):
        value = os.environ.get(variable, "")
        lines = [line.strip() for line in value.splitlines()]
        # The longest first: a piece of one that is hidden must not stand beside it.
        for piece in sorted({value, value.strip(), repr(value)[1:-1], *lines}, key=len, reverse=True):
            if len(piece) >= _SHORTEST:
                text = text.replace(piece, HIDDEN)
    return text
