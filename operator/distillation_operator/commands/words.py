"""Foreign strings and numbers as people read them."""

import hashlib
import json
import math
from typing import Any

ABSENT = "-"
"""Stands for what a run doesn't tell."""
_DIGEST = 8


def one_line(text: str) -> str:
    """The text on one line, without what moves a terminal's cursor or turns the direction of writing."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def short(value: Any, limit: int) -> str:
    """A value of a spec in at most about ``limit`` characters; what is cut ends with a digest of the whole."""
    if value is None:
        return ABSENT
    whole = value if isinstance(value, str) else _written(value)
    shown = one_line(whole)
    if shown == whole and len(whole) <= limit and whole not in ("", ABSENT):
        return whole
    if isinstance(value, str) and (whole in ("", ABSENT) or whole != whole.strip()):
        shown = one_line(json.dumps(whole, ensure_ascii=False))
    if len(shown) <= limit:
        return shown
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{shown[:limit].rstrip()}... ({len(whole):,} characters, SHA-256 {digest})"


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_inner(member)}" for name, member in value.items()) or "{}"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or "[]"
    return _inner(value)


def _inner(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def decimal(value: float) -> str:
    """Four digits: enough to tell runs apart."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def share(value: float) -> str:
    """A share as per cent."""
    return f"{value:.1%}" if math.isfinite(value) else str(value)


def whole(value: float) -> str:
    """A count, with its thousands set apart."""
    return f"{value:,.0f}" if math.isfinite(value) else str(value)


def duration(seconds: float) -> str:
    """The two largest of days, hours, minutes and seconds."""
    if not math.isfinite(seconds):
        return str(seconds)
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
