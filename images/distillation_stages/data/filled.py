"""Whether what a column holds is anything at all, however its dataset writes nothing."""

NOTHING = frozenset({"", "[]", "{}", "null", "None", "nan"})
"""Texts by which tables without types write it."""


def is_filled(value: object) -> bool:
    """True for a text, bytes, a list or an object with something in it; numbers and truth values say nothing."""
    match value:
        case str():
            return value.strip() not in NOTHING
        case bytes():
            return bool(value)
        case list():
            return any(is_filled(member) or isinstance(member, int | float) for member in value)
        case dict():
            return any(map(is_filled, value.values()))
    return False
