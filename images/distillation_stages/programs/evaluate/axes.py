"""Scales of plots: round numbers along an axis, and the part of it that is worth seeing."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BEGINNING = 0.1
"""The share of a training whose losses may lie outside the plot: they fall so far that the rest would look flat."""

FEW = 10
"""With fewer points than this, all are shown."""

LARGEST = 1e300
"""Numbers beyond this have no scale that a float could express."""

MOST_DIGITS = 6
"""Before or after the point, of the number at a tick: more don't fit on a phone."""

TALL = 1.5
"""So many times the height of the rest may the whole be for the beginning to be shown with it."""


@dataclass(frozen=True)
class Scale:
    """From the lowest to the highest number that an axis shows."""

    low: float
    high: float

    @staticmethod
    def around(values: Iterable[float]) -> "Scale":
        """One that shows all the values with a little room; of none, from 0 to 1."""
        finite = [value for value in values if abs(value) < LARGEST]
        if not finite:
            return Scale(0.0, 1.0)
        low, high = min(finite), max(finite)
        room = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
        return Scale(low - room, high + room)

    @property
    def span(self) -> float:
        """What lies between both ends."""
        return self.high - self.low

    def place(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high one."""
        return (value - self.low) / self.span

    def shows(self, value: float) -> bool:
        """Whether a value lies inside."""
        return self.low <= value <= self.high

    def joined(self, other: "Scale") -> "Scale":
        """One that shows what both do."""
        return Scale(min(self.low, other.low), max(self.high, other.high))

    def ticks(self, most: int = 6) -> list[float]:
        """At most so many and one more round numbers inside, evenly apart."""
        raw = self.span / most
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{place * step:.12g}") for place in range(first, last + 1)]


def loss_scale(losses: Sequence[float]) -> Scale:
    """One that shows the end of a training: its first steps are left out when they would dwarf the rest."""
    whole = Scale.around(losses)
    if len(losses) < FEW:
        return whole
    rest = Scale.around(losses[math.ceil(BEGINNING * len(losses)) :])
    return whole if whole.span <= TALL * rest.span else rest


def shared(scales: Sequence[Scale]) -> list[Scale]:
    """One scale for all, so that heights can be compared; each its own where one would be flat on the common one."""
    if not scales:
        return []
    common = scales[0]
    for scale in scales[1:]:
        common = common.joined(scale)
    is_common = common.span <= 3 * min(scale.span for scale in scales)
    return [common] * len(scales) if is_common else list(scales)


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """The number at a tick, with no more digits than the ticks differ by."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(value) or 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.4g}" if digits > MOST_DIGITS or abs(value) >= 10**MOST_DIGITS else f"{value:,.{digits}f}"


def moving_mean(values: Sequence[float], width: int) -> list[float]:
    """The mean of each value and those before it, ``width`` in all; of the first ones fewer."""
    means, total = [], 0.0
    for place, value in enumerate(values):
        total += value - (values[place - width] if place >= width else 0.0)
        means.append(total / min(place + 1, width))
    return means
