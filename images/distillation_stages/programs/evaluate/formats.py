"""Numbers and names as people read them; a number that isn't known, or is none, is a dash."""

import math
import re
from datetime import datetime

NONE = "\u2013"

_WORDS = {
    "bytes": "size",
    "completionTokens": "answer tokens",
    "klTokens": "tokens compared with the teacher",
    "klToTeacher": "KL to the teacher",
    "kl": "KL",
    "top1Agreement": "top-1 agreement",
    "chatTemplate": "chat template",
    "asSampled": "in the teacher's own tokens",
    "firstLoss": "first loss",
}
"""Names whose words aren't those that they are spelt with."""

_SCALES = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))
_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def count(value: int | None) -> str:
    """An integer, thousands set apart."""
    return NONE if value is None else f"{value:,}"


def amount(value: float | None) -> str:
    """A count in a word: 134.5 million."""
    if value is None or not math.isfinite(value):
        return NONE
    for scale, word in _SCALES:
        if abs(value) >= scale:
            return f"{value / scale:.3g} {word}" if abs(value) < 1000 * scale else f"{value / scale:,.0f} {word}"
    return f"{value:,.0f}"


def size(value: float | None) -> str:
    """Bytes, in powers of 1,000."""
    if value is None or not math.isfinite(value):
        return NONE
    for scale, unit in _BYTES:
        if abs(value) >= scale:
            return f"{value / scale:,.1f} {unit}"
    return f"{value:,.0f} bytes"


def number(value: float | None) -> str:
    """A measured number, with digits enough to read and to compare, never as a power of ten where words do."""
    if value is None or not math.isfinite(value):
        return NONE
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) >= 1e15:
        return f"{value:.2e}"
    if abs(value) >= 1e6:
        return amount(value)
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 0.01 or value == 0:
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return f"{value:.2g}"


def score(value: float | None) -> str:
    """A score in nats, or a share of one, with three digits after the point so that columns line up."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:.3f}" if abs(value) < 1000 else number(float(value))


def percent(value: float | None, digits: int = 0) -> str:
    """A share as per cent."""
    return NONE if value is None or not math.isfinite(value) else f"{value:.{digits}%}"


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def date(text: str) -> str:
    """A time of RFC 3339; anything else as it stands."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{moment.day} {moment:%B %Y, %H:%M} {moment.tzname() or ''}".rstrip()


def words(name: str) -> str:
    """A name of JSON or of a reason as words: learningRate, learning rate."""
    if name in _WORDS:
        return _WORDS[name]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower() if re.search(r"[a-z][A-Z]", name) else name
