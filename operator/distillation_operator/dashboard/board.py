"""What is known of all jobs now, and how it changed: the one place between where jobs come from and who looks at them.

Each change has a number. Whoever has seen the changes up to one asks for what came after, so a slow reader costs no
memory and gets many changes as one.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from distillation_operator.dashboard.lenient import Object
from distillation_operator.dashboard.row import Key

_GONE_KEPT = 10_000


@dataclass(frozen=True)
class Health:
    """Whether what is shown is what is."""

    loaded: bool = False
    """True once all was read; what is shown before is a part."""
    problem: str = ""
    """Why nothing new can be known; empty while all is well."""
    since: datetime | None = None
    """Since when."""
    note: str = ""
    """What is left out, such as other namespaces."""


@dataclass(frozen=True)
class Changes:
    """What changed: jobs that are new or others, and keys of those that are gone."""

    jobs: dict[Key, Object]
    gone: list[Key]
    whole: bool
    """True when these are all jobs, so that any other is gone."""


class Board:
    """Jobs by key, and the state of each source by its name."""

    def __init__(self) -> None:
        self.revision = 0
        self._jobs: dict[Key, tuple[int, Object]] = {}
        self._scopes: dict[Key, str] = {}
        self._gone: dict[Key, int] = {}
        self._forgotten = 0
        """The newest change of which what is gone isn't known any more."""
        self._health: dict[str, Health] = {}
        self._changed = asyncio.Event()

    def put(self, scope: str, key: Key, job: Object) -> None:
        """Remember a job of a source."""
        known = self._jobs.get(key)
        if known is not None and known[1] == job:
            return
        self._jobs[key] = (self._advance(), job)
        self._scopes[key] = scope
        self._gone.pop(key, None)

    def drop(self, key: Key) -> None:
        """Forget a job that is gone."""
        if self._jobs.pop(key, None) is None:
            return
        del self._scopes[key]
        self._gone[key] = self._advance()
        while len(self._gone) > _GONE_KEPT:
            oldest = next(iter(self._gone))
            self._forgotten = max(self._forgotten, self._gone.pop(oldest))

    def replace(self, scope: str, jobs: Mapping[Key, Object]) -> None:
        """Take these for all jobs of a source."""
        for key in [key for key, of_scope in self._scopes.items() if of_scope == scope and key not in jobs]:
            self.drop(key)
        for key, job in jobs.items():
            self.put(scope, key, job)

    def tell(self, scope: str, health: Health) -> None:
        """Remember the state of a source. A problem that goes on keeps the time at which it began."""
        known = self._health.get(scope)
        if health.problem and known is not None and known.problem:
            health = Health(health.loaded, health.problem, known.since, health.note)
        elif health.problem:
            health = Health(health.loaded, health.problem, datetime.now(UTC).replace(microsecond=0), health.note)
        if health != known:
            self._health[scope] = health
            self._advance()

    @property
    def health(self) -> Health:
        """The state of all sources as one: the worst of each."""
        states = list(self._health.values())
        wrong = [state for state in states if state.problem]
        return Health(
            loaded=bool(states) and all(state.loaded for state in states),
            problem="; ".join(dict.fromkeys(state.problem for state in wrong)),
            since=min((state.since for state in wrong if state.since), default=None),
            note=" ".join(dict.fromkeys(state.note for state in states if state.note)),
        )

    def job(self, key: Key) -> Object | None:
        """A job, if it exists."""
        known = self._jobs.get(key)
        return known[1] if known else None

    def jobs(self) -> Iterable[tuple[Key, int, Object]]:
        """All jobs, with the number of each one's last change."""
        return [(key, revision, job) for key, (revision, job) in self._jobs.items()]

    def changes(self, since: int | None) -> Changes:
        """What changed after the change of that number; all jobs where that isn't known."""
        if since is None or not self._forgotten <= since <= self.revision:
            return Changes({key: job for key, (_, job) in self._jobs.items()}, [], whole=True)
        jobs = {key: job for key, (revision, job) in self._jobs.items() if revision > since}
        return Changes(jobs, [key for key, revision in self._gone.items() if revision > since], whole=False)

    async def wait(self, since: int, seconds: float) -> None:
        """Wait for a change after the change of that number, at most so many seconds."""
        if self.revision > since:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def wake(self) -> None:
        """End all waits."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _advance(self) -> int:
        self.revision += 1
        self.wake()
        return self.revision
