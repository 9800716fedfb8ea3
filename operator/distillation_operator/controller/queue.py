"""A work queue as controllers know it: a key waits at most once, is worked on by one worker, and failures back off."""

import asyncio
import heapq
from collections import deque

Key = tuple[str, str]
"""Namespace and name of a DistillationJob."""

SOON = 0.001
"""Seconds that aren't worth a timer."""
MOMENT = 0.5
"""Seconds in which what only is to be shown is gathered: a child's pods appear, are scheduled and begin to run."""
FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 60.0
OUTAGE_RETRY_SECONDS = 15.0
"""The longest where the API server is away or overloaded: once it is back, all jobs have to go on."""
URGENT_IN_A_ROW = 4
"""Urgent keys after which another one has its turn, so that none waits for ever."""


class WorkQueue:
    """Keys to work on. Not thread-safe: for one event loop."""

    def __init__(self) -> None:
        self._urgent: deque[Key] = deque()
        self._ordinary: deque[Key] = deque()
        """Those too that have become urgent since, and are passed over here."""
        self._waiting: dict[Key, bool] = {}
        """Whether it is urgent, by key."""
        self._in_a_row = 0
        self._working: set[Key] = set()
        self._again: dict[Key, bool] = {}
        self._failures: dict[Key, int] = {}
        self._due: dict[Key, float] = {}
        self._later: list[tuple[float, Key]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._count = asyncio.Semaphore(0)
        """Of keys that are ready."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: Key, urgent: bool = False) -> None:
        """Ask for work on a key, at once; urgent ones come before others. A key that is worked on now comes again when
        that is done.
        """
        if key in self._working:
            self._again[key] = urgent or self._again.get(key, False)
            return
        if key not in self._waiting:
            self._count.release()
        elif self._waiting[key] or not urgent:
            return
        self._waiting[key] = urgent
        (self._urgent if urgent else self._ordinary).append(key)

    def add_soon(self, key: Key) -> None:
        """Ask for work on a key within a moment, in which more may come that it is done for."""
        if key in self._working:
            # When that has succeeded it forgets later times.
            self.add(key)
        elif key not in self._waiting:
            self.add_after(key, MOMENT)

    def add_after(self, key: Key, seconds: float) -> None:
        """Ask for work on a key after a while; an earlier time that stands already wins."""
        due = asyncio.get_running_loop().time() + max(seconds, 0.0)
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        heapq.heappush(self._later, (due, key))
        if self._later[0] == (due, key):
            self._set_timer()

    def add_after_failure(self, key: Key, longest: float = LONGEST_RETRY_SECONDS) -> float:
        """Ask for work on a key that has just failed, after a time that doubles with each failure; returns it."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        seconds = min(FIRST_RETRY_SECONDS * 2.0 ** min(count, 16), longest)
        self.add_after(key, seconds)
        return seconds

    def succeeded(self, key: Key) -> None:
        """Forget the failures of a key, and the time for which it was asked for: work that has succeeded knows the
        next one.
        """
        self._failures.pop(key, None)
        self._due.pop(key, None)

    async def take(self) -> Key:
        """The next key, waiting for one. The taker must call ``done``."""
        await self._count.acquire()
        key = self._next()
        del self._waiting[key]
        self._working.add(key)
        return key

    def done(self, key: Key) -> None:
        """End the work on a key."""
        self._working.discard(key)
        if key in self._again:
            self.add(key, self._again.pop(key))

    def _next(self) -> Key:
        while self._ordinary and self._waiting.get(self._ordinary[0], True):
            self._ordinary.popleft()
        if self._urgent and (self._in_a_row < URGENT_IN_A_ROW or not self._ordinary):
            self._in_a_row += 1
            return self._urgent.popleft()
        self._in_a_row = 0
        return self._ordinary.popleft()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(self._later[0][0], self._add_due) if self._later else None

    def _add_due(self) -> None:
        # Timers may fire a little early.
        now = asyncio.get_running_loop().time() + SOON
        while self._later and self._later[0][0] <= now:
            due, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
        self._set_timer()
