"""Objects that a watch brings before their owner, which another watch brings later: kept aside until then.

Anybody may give an object our labels, so only so many are kept. Of a job of which one more came all is listed.
"""

from collections.abc import Mapping
from typing import Any

from distillation_operator.controller.queue import Key

Object = Mapping[str, Any]

OF_A_JOB = 64
IN_ALL = 512


class Early:
    """By job, what has come of objects whose owner isn't known; the newest version of each."""

    def __init__(self) -> None:
        self._kept: dict[Key, dict[tuple[str, str], Object]] = {}
        self._count = 0
        self._more: set[Key] = set()

    def keep(self, key: Key, kind: str, child: Object) -> None:
        """Keep an object aside, unless a newer version of it is kept."""
        of_job = self._kept.setdefault(key, {})
        slot = (kind, child["metadata"]["name"])
        known = of_job.get(slot)
        if known is not None and version_of(known) >= version_of(child):
            return
        if known is None:
            if len(of_job) >= OF_A_JOB or self._count >= IN_ALL:
                self._more.add(key)
                return
            self._count += 1
        of_job[slot] = child

    def take(self, key: Key, owner: str) -> list[tuple[str, Object]]:
        """Kinds and objects of the owner with this UID, which are kept no longer."""
        of_job = self._kept.get(key, {})
        owned = [slot for slot, child in of_job.items() if owner in owners_of(child)]
        self._count -= len(owned)
        return [(kind, of_job.pop((kind, name))) for kind, name in owned]

    def has_passed_over(self, key: Key) -> bool:
        """Whether more has come of a job than is kept."""
        return key in self._more

    def drop(self, key: Key, kind: str, name: str) -> None:
        """Forget an object that is gone."""
        self._count -= self._kept.get(key, {}).pop((kind, name), None) is not None

    def forget(self, key: Key) -> None:
        """Forget all of a job."""
        self._count -= len(self._kept.pop(key, {}))
        self._more.discard(key)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._more.clear()
        self._count = 0


def version_of(thing: Object) -> int:
    """The resource version, which the API server counts up."""
    return int(thing["metadata"]["resourceVersion"])


def owners_of(child: Object) -> set[str]:
    """UIDs of an object's owners."""
    return {str(owner.get("uid", "")) for owner in child["metadata"].get("ownerReferences") or []}
