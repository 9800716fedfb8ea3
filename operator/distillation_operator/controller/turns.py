"""How long it takes until each of many things has had its turn."""

from distillation_operator.controller.queue import Key

READS_PER_SECOND = 20.0
"""Of one kind, of all jobs together: with ten of them each is read within a second, with a thousand within a minute."""


class Turns:
    """Counts of what is read again and again, by job."""

    def __init__(self) -> None:
        self._counts: dict[Key, int] = {}
        self._all = 0

    def note(self, key: Key, count: int) -> None:
        """Note that a job has so many."""
        self._all += count - self._counts.pop(key, 0)
        if count:
            self._counts[key] = count

    @property
    def seconds(self) -> float:
        """The time in which each of all has one turn."""
        return self._all / READS_PER_SECOND
