"""How long something of several steps will still take, from what steps usually take and what these have taken."""

from collections.abc import Sequence
from dataclasses import dataclass

_SLOWEST, _FASTEST = 5.0, 0.5
_NOTHING_DONE = 0.1


@dataclass(frozen=True)
class Step:
    """A step by the name under which its progress is told, with the seconds that it takes on two idle cores."""

    name: str
    seconds: float


class Estimate:
    """The steps in their order; times are seconds of any clock that doesn't go back."""

    def __init__(self, steps: Sequence[Step], now: float) -> None:
        self._steps = list(steps)
        self._began = now
        self._current = 0
        self._taken = 0.0
        self._expected = 0.0

    def begin(self, name: str, now: float) -> None:
        """The step of this name begins, and those before it are over. A name that isn't ahead changes nothing."""
        ahead = [step.name for step in self._steps[self._current + 1 :]]
        if name not in ahead:
            return
        following = self._current + 1 + ahead.index(name)
        taken, expected = now - self._began, self._steps[self._current].seconds
        # What had nothing to do says nothing of the machine's speed.
        if taken > expected * _NOTHING_DONE:
            self._taken += taken
            self._expected += expected
        self._current, self._began = following, now

    def left(self, now: float) -> float:
        """Seconds until the last step's end: by this machine's speed, as far as it is known."""
        if not self._steps:
            return 0.0
        step, elapsed = self._steps[self._current], now - self._began
        expected = self._expected + min(step.seconds, elapsed)
        pace = (self._taken + elapsed) / expected if expected > 0 else 1.0
        # The first seconds say little: they count as much as they are of the whole.
        known = min(1.0, expected / max(sum(other.seconds for other in self._steps), 1.0) * 4)
        pace = 1.0 + (min(max(pace, _FASTEST), _SLOWEST) - 1.0) * known
        rest = sum(later.seconds for later in self._steps[self._current + 1 :])
        # A step that takes longer than usual isn't about to end because of that.
        current = max(step.seconds * pace - elapsed, step.seconds * pace / 10)
        return rest * pace + current


def in_words(seconds: float) -> str:
    """A time left, as exactly as it is known: ``about 7 min left``."""
    if seconds < 45:
        return "less than a minute left"
    return f"about {max(1, round(seconds / 60))} min left"
