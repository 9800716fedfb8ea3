"""Reading objects of any form: an older operator's status lacks fields, and a file may hold anything at all.

What isn't of the expected kind is as good as absent, so that one odd object can't take the page from the others.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from distillation_operator.pipeline.status.times import parse_time

Object = Mapping[str, Any]

TEXT_LIMIT = 2048
"""Characters of a text: a little more than the longest of a status."""
_UNSHOWN = (("\x7f", "\x9f"), ("\ud800", "\udfff"), ("\u202a", "\u202e"), ("\u2066", "\u2069"))
"""Control characters, halves of pairs, and what turns the direction of the text around it."""
MEMBERS_LIMIT = 200
"""Members of a list or a mapping, more than the CRD allows of any."""


def text(value: object, limit: int = TEXT_LIMIT) -> str:
    """A text or number as text that every page can show; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    shown = str(value)
    if len(shown) > limit:
        shown = shown[: limit - 1] + "…"
    return "".join(character if _is_shown(character) else "\N{REPLACEMENT CHARACTER}" for character in shown)


def _is_shown(character: str) -> bool:
    # Of the control characters only line breaks and tabs have a place on a page, and half of a pair has no UTF-8.
    if character in "\n\t":
        return True
    return not (character < " " or any(first <= character <= last for first, last in _UNSHOWN))


def mapping(value: object) -> Object:
    """A mapping's members with a text as key; empty for anything else."""
    if not isinstance(value, Mapping):
        return {}
    return {key: member for key, member in list(value.items())[:MEMBERS_LIMIT] if isinstance(key, str)}


def members(value: object) -> list[Object]:
    """The mappings in a list; empty for anything else."""
    if not isinstance(value, list):
        return []
    return [mapping(member) for member in value[:MEMBERS_LIMIT] if isinstance(member, Mapping)]


def texts(value: object) -> dict[str, str]:
    """A mapping's members that are texts or numbers, as texts."""
    return {text(key, 128): text(member, 256) for key, member in mapping(value).items() if text(member)}


def number(value: object) -> float | None:
    """A finite number of at least 0, also one written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and found >= 0 else None


def count(value: object) -> int:
    """A whole number of at least 0; 0 for anything else."""
    return int(number(value) or 0)


def time(value: object) -> datetime | None:
    """A time in UTC; None for anything else."""
    # YAML's loaders make times of what looks like one.
    if isinstance(value, datetime):
        value = value.isoformat()
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return parse_time((found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
