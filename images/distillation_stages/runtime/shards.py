"""Whether all shards of a dataset or model are there: a shard's name says how many there are (``-00000-of-00003``)."""

import re
from collections import defaultdict
from collections.abc import Iterable

SHARD = re.compile(r"^(.*?)[-_.]?(\d{5,})[-_]of[-_](\d{5,})")
"""What comes before, the shard's number and how many there are. What comes behind may be a digest of the shard."""

Series = tuple[str, int]
"""The shards that belong together: what their names begin with, and how many they are."""

NAMED = 5
"""Missing shards that are named, of each series."""


def missing_shards(chosen: Iterable[str], present: Iterable[str], counts_from_one: bool = False) -> str:
    """In words, the shards of the chosen files' series that aren't among those present; empty when none is missing.

    ``counts_from_one``: how they are numbered where neither the first nor the last is there to tell.
    """
    numbers = defaultdict[Series, set[int]](set)
    for series, number in filter(None, map(_place_of, present)):
        numbers[series].add(number)
    lacks = []
    for series in dict.fromkeys(place[0] for place in map(_place_of, chosen) if place is not None):
        (begin, total), there = series, numbers[series]
        first = 1 if 0 not in there and (counts_from_one or total in there) else 0
        missing = [f"{number:05}" for number in range(first, first + total) if number not in there]
        if missing:
            more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
            of = f" of {begin}" if begin else ""
            lacks.append(f"{len(missing)} of the {total} shards{of}: {', '.join(missing[:NAMED])}{more}")
    return "; ".join(lacks)


def _place_of(name: str) -> tuple[Series, int] | None:
    found = SHARD.match(name)
    return ((found[1], int(found[3])), int(found[2])) if found else None
