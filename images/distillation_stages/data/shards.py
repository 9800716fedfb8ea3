"""Whether all shards of a dataset are there: each one's name says how many there are (``train-00000-of-00003``)."""

import re
from collections import defaultdict
from collections.abc import Iterable

from distillation_stages.data.files import format_of, listed

SHARD = re.compile(r"^(.*?)[-_.]?(\d{5,})[-_]of[-_](\d{5,})")
"""What comes before, the shard's number and how many there are. What comes behind may be a digest of the shard."""

Shards = tuple[str, int]
"""The shards that belong together: what their names begin with, and how many they are."""


def missing_shards(chosen: Iterable[str], present: Iterable[str]) -> str:
    """In words, the shards of the chosen files that aren't among those present; empty when none is missing."""
    numbers, width = defaultdict[Shards, set[int]](set), 5
    for name in present:
        # What was broken off while it was copied often has a suffix of its own, and isn't read.
        if format_of(name) is not None and (found := SHARD.match(name)):
            numbers[found[1], int(found[3])].add(int(found[2]))
    lacks = []
    for shards in dict.fromkeys(_shards_of(name) for name in chosen):
        if shards is None:
            continue
        begin, total = shards
        there = numbers[shards]
        # Some count from one.
        first = 1 if total in there and 0 not in there else 0
        missing = [f"{number:0{width}}" for number in range(first, first + total) if number not in there]
        if missing:
            lacks.append(f"{len(missing)} of the {total} shards of {begin or 'it'}: {listed(missing)}")
    return "; ".join(lacks)


def _shards_of(name: str) -> Shards | None:
    found = SHARD.match(name)
    return (found[1], int(found[3])) if found else None
