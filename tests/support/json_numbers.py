"""The whole numbers of a JSON value: the API server keeps those of 64 bits, which no JSON schema says."""

from collections.abc import Iterator
from typing import Any


def numbers(value: Any) -> Iterator[int]:
    """All whole numbers in a JSON value."""
    if isinstance(value, dict):
        for member in value.values():
            yield from numbers(member)
    elif isinstance(value, list):
        for member in value:
            yield from numbers(member)
    elif isinstance(value, int):
        yield value
