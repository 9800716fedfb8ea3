"""Control tokens in what people wrote: there they are words, and not the marks of the conversation.

A text that says ``<|im_end|>`` would end its turn, and what comes behind could be a system message of its own. So such
words stand between two marks of no meaning while the chat template writes the conversation, and are tokenised as any
other text.
"""

import re
from functools import lru_cache
from typing import Any

from distillation_stages.data.conversations import Turn
from distillation_stages.models.teacher_reasoning import special_tokens

_OPEN, _CLOSE = "\U000f0000", "\U000f0001"
"""Of private use: no text has them."""

REASONING = frozenset({"<think>", "</think>"})
"""Written into answers by us, to be learnt as what they are."""


def as_words(tokenizer: Any, turns: list[Turn], with_calls: bool) -> list[Turn]:
    """The turns, with the control tokens in their contents marked as words.

    ``with_calls``: answers are left as they are, since a teacher's call of a tool may be made of such tokens.
    """
    pattern = _pattern(tokenizer)
    if pattern is None:
        return turns
    return [_marked(turn, pattern) if not (with_calls and turn["role"] == "assistant") else turn for turn in turns]


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text that a template wrote from such turns, nothing added."""
    if _OPEN not in text:
        return _encoded(tokenizer, text)
    ids: list[int] = []
    for number, piece in enumerate(re.split(f"{_OPEN}(.*?){_CLOSE}", text)):
        if piece:
            ids += _encoded(tokenizer, piece, **({"split_special_tokens": True} if number % 2 else {}))
    return ids


def _encoded(tokenizer: Any, text: str, **keywords: bool) -> list[int]:
    return [int(token) for token in tokenizer.encode(text, add_special_tokens=False, **keywords)]


def _marked(turn: Turn, pattern: "re.Pattern[str]") -> Turn:
    content = turn["content"]
    if not isinstance(content, str) or not pattern.search(content):
        return turn
    return {**turn, "content": pattern.sub(lambda found: f"{_OPEN}{found[0]}{_CLOSE}", content)}


@lru_cache(maxsize=8)
def _pattern(tokenizer: Any) -> "re.Pattern[str] | None":
    tokens = special_tokens(tokenizer) - REASONING
    # The longest first, or a token would be found inside of another.
    return re.compile("|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True))) if tokens else None
