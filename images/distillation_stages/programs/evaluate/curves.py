"""A training's history as the curve that facts hold: no more points than one can see, nothing that isn't a number."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from distillation_api.contract import Curve, HeldOutPoint

POINTS = 2_000
"""Of a curve: a page with more loads slowly and shows no more."""


def curve_of(history: Sequence[Mapping[str, Any]], held_out: tuple[float | None, float | None] | None = None) -> Curve:
    """The steps of a history file, thinned. ``held_out``: the student's cross-entropy before and after them."""
    known = [step for step in history if is_step(step.get("step")) and _finite(step.get("loss")) is not None]
    kept = thinned(known)
    distances = [_finite(step.get("klToTeacher")) for step in kept]
    points = []
    if held_out is not None and kept:
        points = [HeldOutPoint(step=0, cross_entropy=held_out[0])]
        points.append(HeldOutPoint(step=kept[-1]["step"], cross_entropy=held_out[1]))
    return Curve(
        steps=[step["step"] for step in kept],
        loss=[_finite(step["loss"]) for step in kept],
        kl_to_teacher=distances if any(distance is not None for distance in distances) else [],
        held_out=points,
    )


def thinned[T](items: Sequence[T], most: int = POINTS) -> list[T]:
    """At most so many, evenly spread; the first and the last always among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def is_step(value: object) -> bool:
    """Whether it can be the number of a step; files hold anything."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
