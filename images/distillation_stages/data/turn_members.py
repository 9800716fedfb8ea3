"""Members of an assistant's message beside its role and content that decide what is learnt of it."""

from collections.abc import Mapping
from typing import Any

from distillation_stages.data.normalise import Conversion, Normalised

Turn = dict[str, Any]

UNLEARNT = frozenset({"weight", "train", "training", "loss"})
"""Members, in lower case, by which 0 or false keeps a turn out of the loss: OpenAI's, axolotl's and ms-swift's."""

REASONING = ("reasoning_content", "reasoning", "thinking")
"""Members with an answer's reasoning, as servers of chat APIs give it back."""

OPEN, CLOSE = "<think>", "</think>"


LEARNT = "learnt"
"""A member of our own turns: False in an answer that is only given."""


def marked(turn: Normalised[Turn], message: Mapping[str, object]) -> Normalised[Turn]:
    """The turn, with a mark where it is an answer of which the message says that it isn't to be learnt."""
    said = [value for name, value in message.items() if name.casefold() in UNLEARNT]
    if turn.value["role"] != "assistant" or all(value or not isinstance(value, bool | int | float) for value in said):
        return turn
    return Normalised({**turn.value, LEARNT: False}, turn.conversions | {Conversion.UNLEARNT_ANSWER})


def is_learnt(turn: Turn) -> bool:
    """Whether a turn may be learnt where its role is."""
    return turn.get(LEARNT) is not False


def without_marks(turns: list[Turn]) -> list[Turn]:
    """The turns as chat templates know them."""
    return [{name: value for name, value in turn.items() if name != LEARNT} for turn in turns]


def with_reasoning(content: str, message: Mapping[str, object], content_key: str | None) -> Normalised[str]:
    """The message's text behind the reasoning that stands beside it, in the marks that answers have for it.

    As it is where it has some already. ``content_key``: the member that the text itself was read from.
    """
    given = (message.get(name) for name in REASONING if name != content_key)
    reasoning = next((_bare(text) for text in given if isinstance(text, str) and _bare(text)), "")
    # Teachers whose template opens the reasoning leave texts with its end alone.
    if not reasoning or content.lstrip().startswith(OPEN) or CLOSE in content:
        return Normalised(content)
    return Normalised(f"{OPEN}\n{reasoning}\n{CLOSE}\n\n{content}", frozenset({Conversion.REASONING}))


def _bare(reasoning: str) -> str:
    return reasoning.strip().removeprefix(OPEN).removesuffix(CLOSE).strip()
