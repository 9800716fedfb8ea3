"""What was read of a job's objects, kept while they stay the same: one of dozens has changed at a time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distillation_operator.manifests.reading import read_child, read_pod
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.observed import Child, Pod

Object = Mapping[str, Any]


class _Memory[T]:
    """Readings of one kind, by name, and the facts that each was made of."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[object, ...], T]] = {}
        self._before = self._known

    def begin(self) -> None:
        """Drop what wasn't asked for since the last call."""
        self._before, self._known = self._known, {}

    def reading(self, name: str, facts: tuple[object, ...], read: Callable[[], T]) -> T:
        """What ``read`` returns, or has returned for the same facts."""
        known = self._known.get(name) or self._before.get(name)
        reading = known[1] if known is not None and known[0] == facts else read()
        # The same objects again are compared at a glance.
        self._known[name] = (facts, reading)
        return reading


class Readings:
    """Of the objects of one job, by name; those that weren't asked for between two calls of ``begin`` are dropped."""

    def __init__(self) -> None:
        self._pods = _Memory[Pod]()
        self._children = _Memory[Child]()

    def begin(self) -> "Readings":
        """Begin to look at the job's objects once more."""
        self._pods.begin()
        self._children.begin()
        return self

    def pod(self, pod: Object, of_events: Cause | None = None, of_node: Cause | None = None) -> Pod:
        """The same as ``read_pod`` returns."""
        facts = (pod, of_events, of_node)
        return self._pods.reading(pod["metadata"]["name"], facts, lambda: read_pod(pod, of_events, of_node))

    def child(self, child: Object, uid: str, jobs: Sequence[Object]) -> Child:
        """The same as ``read_child`` returns."""
        facts = (child, uid, jobs)
        return self._children.reading(child["metadata"]["name"], facts, lambda: read_child(child, uid, [*jobs]))
