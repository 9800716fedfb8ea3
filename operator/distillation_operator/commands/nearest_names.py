"""What a misspelt name was probably meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST_NAME = 100
"""Characters; comparing takes time that grows with their square, and no name is as long."""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """A question such as ``did you mean holdout? ``, whatever the case of letters; empty where no name is near."""
    if len(word) > _LONGEST_NAME:
        return ""
    by_lower_case: dict[str, list[str]] = {}
    for name in names:
        by_lower_case.setdefault(name.lower(), []).append(name)
    near = [name for lower in get_close_matches(word.lower(), by_lower_case) for name in by_lower_case[lower]]
    return f"did you mean {' or '.join(near)}? " if near else ""
