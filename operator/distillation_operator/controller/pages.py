"""How many objects are listed at once: few of large ones, since all of a page are held in memory."""

FIRST = 10
MOST = 50
METADATA = 250
"""Of objects without spec and status."""
BYTES = 2 * 2**20
"""That a page should have. An object may have 1.5 MB, and anybody may give it our labels."""


def next_page(count: int, size: int) -> int:
    """How many to ask for after a page of ``count`` objects and ``size`` bytes."""
    # Names decide the order, and so may whoever wants large ones to follow small ones: never many more than before.
    return max(1, min(MOST, 2 * max(count, 1), count * BYTES // max(size, 1)))
