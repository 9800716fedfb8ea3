"""What was read of a job's objects, kept while they stay the same: one of dozens has changed at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

from distillation_operator.manifests.reading import read_child, read_pod
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.observed import Child, Pod

Object = Mapping[str, Any]


class Readings:
    """Of the objects of one job, by name; those that weren't asked for between two calls of ``begin`` are dropped."""

    def __init__(self) -> None:
        self._pods: dict[str, tuple[tuple[object, ...], Pod]] = {}
        self._children: dict[str, tuple[tuple[object, ...], Child]] = {}
        self._pods_before = self._pods
        self._children_before = self._children

    def begin(self) -> "Readings":
        """Begin to look at the job's objects once more."""
        self._pods_before, self._pods = self._pods, {}
        self._children_before, self._children = self._children, {}
        return self

    def pod(self, pod: Object, told: Cause | None = None, node: Cause | None = None) -> Pod:
        """The same as ``read_pod`` returns."""
        name, facts = pod["metadata"]["name"], (pod, told, node)
        known = self._pods.get(name) or self._pods_before.get(name)
        reading = known[1] if known is not None and known[0] == facts else read_pod(pod, told, node)
        # The same objects again are compared at a glance.
        self._pods[name] = (facts, reading)
        return reading

    def child(self, child: Object, uid: str, jobs: Sequence[Object]) -> Child:
        """The same as ``read_child`` returns."""
        name, facts = child["metadata"]["name"], (child, uid, jobs)
        known = self._children.get(name) or self._children_before.get(name)
        reading = known[1] if known is not None and known[0] == facts else read_child(child, uid, [*jobs])
        self._children[name] = (facts, reading)
        return reading
