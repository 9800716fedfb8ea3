"""The stages of which something is there, or was, since all of a job's children and pods were listed.

What is to be made for any other is the first of it: nothing is left that could still write.
"""

from collections.abc import Iterable, Set

from distillation_operator.controller.queue import Key

STAGES_OF_A_JOB = 128
"""More than any job has. Labels of strangers say what they like."""


class BegunStages:
    """By job, the stages of which something was seen; and meanwhile those of lists that go on."""

    def __init__(self) -> None:
        self._known: dict[Key, set[str]] = {}
        self._listing: dict[Key, set[str]] = {}
        self._swept: dict[Key, set[str]] = {}

    def of(self, key: Key) -> Set[str] | None:
        """The stages; None where not all was listed, or something may have been missed since."""
        return self._known.get(key)

    def begin(self, key: Key) -> None:
        """A job has just come into being: there is nothing of it."""
        self._known[key] = set()

    def begin_list(self, key: Key) -> None:
        """All of a job is about to be listed."""
        self._listing[key] = set()

    def end_list(self, key: Key, known: Iterable[str]) -> None:
        """All of a job was listed. ``known``: the stages of what is there of it."""
        self._add(key, self._listing.pop(key, None), known)

    def begin_sweep(self, keys: Iterable[Key]) -> None:
        """All of all jobs is about to be listed; these are known."""
        self._swept = {key: set() for key in keys}

    def end_sweep(self, key: Key, known: Iterable[str]) -> bool:
        """As ``end_list``, once for each job; whether all of it was listed and nothing missed meanwhile."""
        seen = self._swept.pop(key, None)
        self._add(key, seen, known)
        return seen is not None

    def note(self, key: Key, stage: str) -> bool:
        """Note that there is something of a stage; False where so much was seen that nothing is known any more."""
        for known in (self._known, self._listing, self._swept):
            stages = known.get(key)
            if stages is None or stage in stages:
                continue
            if len(stages) >= STAGES_OF_A_JOB:
                return False
            stages.add(stage)
        return True

    def forget(self, key: Key) -> None:
        """Something of a job may have been missed, or it is gone."""
        for known in (self._known, self._listing, self._swept):
            known.pop(key, None)

    def _add(self, key: Key, seen: Set[str] | None, known: Iterable[str]) -> None:
        if seen is not None:
            self._known.setdefault(key, set()).update(seen, known)
