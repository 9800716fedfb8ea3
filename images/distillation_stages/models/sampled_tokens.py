"""The tokens that a teacher has sampled, as those that a student of the same vocabulary learns.

A text has many spellings in tokens, and a tokenizer gives one of them. A teacher may have said another, and it is that
one whose probability its distribution tells.
"""

import bisect
import hashlib
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from distillation_stages.data.token_rows import contains

CONTEXT = 8
"""Tokens before an answer that are enough to read its first one as it stands there."""


def vocabulary_hash(tokenizer: Any) -> str:
    """SHA-256 in hex over all tokens with their ids: equal ones mean the same by a token's id."""
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda item: (item[1], item[0]))
    return hashlib.sha256(json.dumps(tokens).encode()).hexdigest()


def tokens_of(tokenizer: Any, sampled: Sequence[int], text: str) -> list[int] | None:
    """Those of the sampled tokens that are the text, with white space that stands around it; None when the text isn't a
    piece of what was sampled, token by token.

    The rest is the end token, reasoning that isn't learnt, and its marks.
    """
    place = _place(tokenizer, sampled, text)
    # A model may have more rows than its tokenizer has tokens; decoded, such a one is nothing.
    if place is None or max(sampled) > _highest(tokenizer):
        return None
    found = list(sampled[place[0] : place[1]])
    return found if _text(tokenizer, found).strip() == text.strip() else None


def as_sampled(
    tokenizer: Any, given: Sequence[int], answer: Sequence[int], text: str, sampled: Sequence[int]
) -> list[int] | None:
    """The answer's tokens, with the text in it spelt as it was sampled; None when that would change what it says.

    ``given`` are the tokens before it, ``answer`` those of the template's whole answer: what it writes around the text
    stays as it is.
    """
    if contains(answer, sampled):
        return list(answer)
    place = _place(tokenizer, answer, text)
    if place is None:
        return None
    spelt = [*answer[: place[0]], *sampled, *answer[place[1] :]]
    before = list(given[-CONTEXT:])
    same = _text(tokenizer, [*before, *spelt]) == _text(tokenizer, [*before, *answer])
    return spelt if same else None


def _place(tokenizer: Any, tokens: Sequence[int], text: str) -> tuple[int, int] | None:
    """Where the text's tokens begin and end: the last time that it stands there."""
    wanted, whole = text.strip(), _text(tokenizer, tokens)
    start = whole.rfind(wanted)
    if not wanted or start < 0:
        return None
    # Decoded from its front or to its end, a text only grows with its tokens: their borders can be searched for.
    count, stop = len(tokens), start + len(wanted)
    begin = _most(count, lambda n: len(whole) - len(_text(tokenizer, tokens[n:])) <= start)
    behind = _most(count, lambda n: len(_text(tokenizer, tokens[: count - n])) >= stop)
    return begin, count - behind


@lru_cache(maxsize=8)
def _highest(tokenizer: Any) -> int:
    return max(tokenizer.get_vocab().values(), default=-1)


def _most(count: int, holds: Callable[[int], bool]) -> int:
    """The greatest number up to the count for which it holds; it holds for 0 and for all below that number.

    Mostly that is a token or two, and each look decodes an answer while an engine waits: so the first looks are there.
    """
    step = 1
    while step <= count and holds(step):
        step *= 2
    least = step // 2
    beyond = range(least + 1, min(step, count + 1))
    return least + bisect.bisect_left(beyond, True, key=lambda n: not holds(n))


def _text(tokenizer: Any, tokens: Sequence[int]) -> str:
    return str(tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False))
