"""What was deleted a moment ago: an answer that was on its way meanwhile must not bring it back."""

from collections.abc import Callable

GONE_SECONDS = 60.0
"""For so long such an answer may still come; several times a call's time."""
GONE_KEPT = 10_000


class Deletions:
    """UIDs of objects that are known to be gone, for a while."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}
        """Oldest first."""

    def __len__(self) -> int:
        return len(self._since)

    def __contains__(self, uid: str) -> bool:
        return uid in self._since

    def add(self, uid: str) -> None:
        """It is gone."""
        now = self._clock()
        self._since.pop(uid, None)
        self._since[uid] = now
        while (oldest := next(iter(self._since))) != uid and (
            len(self._since) > GONE_KEPT or now - self._since[oldest] > GONE_SECONDS
        ):
            del self._since[oldest]
