"""Where one text differs from another, word by word."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST_WORDS = 400
"""Of each text that are compared: the time grows with their product. What follows is shown unmarked."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]\s*|[^\s\u3040-\u30ff\u3400-\u9fff]+\s*")
"""With the space after it; a character of Chinese or Japanese, which puts no spaces between words, is one."""


@dataclass(frozen=True)
class Piece:
    """A part of a text."""

    text: str
    differs: bool


@dataclass(frozen=True)
class Difference:
    """A text in pieces, and how much of it the other text has too."""

    pieces: tuple[Piece, ...]
    common: int
    """Words that both have in the same order."""
    words: int
    """Words of the longer of both that were compared."""


def difference(reference: str, text: str) -> Difference:
    """The text, its words marked that the reference doesn't have at their place."""
    theirs, all_ours = words(reference)[:MOST_WORDS], words(text)
    ours, rest = all_ours[:MOST_WORDS], all_ours[MOST_WORDS:]
    common = longest_common([word.strip() for word in theirs], [word.strip() for word in ours])
    leading = text[: len(text) - len(text.lstrip())]
    pieces = [Piece(leading, False)] if leading else []
    for place, word in enumerate(ours):
        differs = place not in common
        if pieces and pieces[-1].differs == differs:
            pieces[-1] = Piece(pieces[-1].text + word, differs)
        else:
            pieces.append(Piece(word, differs))
    if rest:
        pieces.append(Piece("".join(rest), False))
    return Difference(tuple(pieces), len(common), max(len(theirs), len(ours)))


def words(text: str) -> list[str]:
    """Each with the space that follows it."""
    return _WORD.findall(text)


def longest_common(first: Sequence[str], second: Sequence[str]) -> set[int]:
    """Places in ``second`` of a longest sequence of words that both have in the same order."""
    # lengths[i][j]: of what follows place i in the first and j in the second.
    lengths = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in reversed(range(len(first))):
        row, below = lengths[i], lengths[i + 1]
        for j in reversed(range(len(second))):
            row[j] = below[j + 1] + 1 if first[i] == second[j] else max(below[j], row[j + 1])
    places, i, j = set(), 0, 0
    while i < len(first) and j < len(second):
        if first[i] == second[j]:
            places.add(j)
            i, j = i + 1, j + 1
        elif lengths[i + 1][j] >= lengths[i][j + 1]:
            i += 1
        else:
            j += 1
    return places
