"""Percentiles of what was measured."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of the values, from 0 to 1, doesn't exceed. Raises ValueError without any."""
    if not values:
        raise ValueError("there is no percentile of no values")
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]


def summary(seconds: Sequence[float]) -> dict[str, float | int]:
    """Count, median, 99th percentile and greatest of durations, in seconds."""
    if not seconds:
        return {"count": 0}
    return {
        "count": len(seconds),
        "p50": round(percentile(seconds, 0.5), 3),
        "p99": round(percentile(seconds, 0.99), 3),
        "max": round(max(seconds), 3),
    }
