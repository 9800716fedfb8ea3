"""Attempts at stages and their processes: what the Job controller keeps of Jobs and pods on a cluster.

A stage of independent shards tries each shard again by itself, after a back-off, as often as an Indexed Job would.
Every other attempt ends with its one process. Nothing here knows of the operating system or reads a clock.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from distillation_api.contract import PERMANENT_EXIT_CODES

FIRST_BACK_OFF = timedelta(seconds=10)
LONGEST_BACK_OFF = timedelta(minutes=10)
"""Between two processes of a shard, as the Job controller's."""
BY_POLICY = "PodFailurePolicy"
"""The reason of an attempt whose program said that trying again can't help."""


@dataclass
class Run:
    """One process of an attempt, in the place of a pod."""

    name: str
    index: int
    """Its shard; 0 where there are none."""
    failures: int = 0
    """Crashes of its index before it."""
    due: datetime | None = None
    """Not to be started before; None: as soon as there is room."""
    started: datetime | None = None
    finished: datetime | None = None
    exit_code: int | None = None
    message: str | None = None
    """The termination message, or the tail of the log of a program that left none."""
    stopping: bool = False
    """Whether it was asked to end."""

    @property
    def is_running(self) -> bool:
        """True from its start to its end."""
        return self.started is not None and self.finished is None

    @property
    def succeeded(self) -> bool:
        """True when it has ended with exit code 0."""
        return self.exit_code == 0


@dataclass
class Attempt:
    """One attempt at a stage, in the place of a Job or JobSet."""

    name: str
    stage: str
    number: int
    uid: str
    fingerprint: str
    directory: str
    created: datetime
    runs: list[Run]
    indexed: bool = False
    """Whether its processes are shards that are tried again each by itself."""
    retries: int = 0
    """Crashes of one shard after which it isn't tried again."""
    terminating: bool = False
    interrupted: bool = False
    """Whether a process of it was ended for no reason of its own: it has no end, and is made again."""
    verdict: str | None = None
    """Why it fails, as one word, as soon as that is known."""
    ended: datetime | None = None
    """When it was complete, or had failed and none of its processes ran any more."""

    @property
    def is_complete(self) -> bool:
        """True when it has ended with all of its work done."""
        return self.ended is not None and self.verdict is None

    @property
    def live_runs(self) -> list[Run]:
        """Processes that run."""
        return [run for run in self.runs if run.is_running]


@dataclass
class Attempts:
    """All attempts of a job that are known, oldest first."""

    known: list[Attempt] = field(default_factory=list)

    def create(
        self,
        name: str,
        stage: str,
        number: int,
        fingerprint: str,
        directory: str,
        now: datetime,
        shards: int | None = None,
        retries: int = 0,
    ) -> Attempt:
        """A new attempt, whose processes are to be started. ``shards``: None for a stage of one process."""
        runs = [Run(f"{name}-{index}", index) for index in range(shards or 1)]
        attempt = Attempt(
            name, stage, number, str(uuid.uuid4()), fingerprint, directory, now, runs, shards is not None, retries
        )
        self.known.append(attempt)
        return attempt

    def delete(self, name: str) -> None:
        """Have an attempt go: what isn't started never is, and the attempt is gone when none of its processes runs."""
        for attempt in self.known:
            if attempt.name == name:
                attempt.terminating = True
                _stop(attempt)
        self._collect()

    def waiting(self, now: datetime) -> list[tuple[Attempt, Run]]:
        """Processes that may be started now, in the order in which they were asked for."""
        return [
            (attempt, run)
            for attempt in self.known
            if attempt.ended is None and not attempt.terminating and attempt.verdict is None
            for run in attempt.runs
            if run.started is None and run.finished is None and (run.due is None or run.due <= now)
        ]

    def next_due(self, now: datetime) -> datetime | None:
        """When the next back-off of a shard is over; None while there is none."""
        backing_off = (run.due for attempt in self.known for run in attempt.runs if run.started is None)
        return min((due for due in backing_off if due is not None and due > now), default=None)

    def end(self, attempt: Attempt, run: Run, exit_code: int, message: str | None, now: datetime) -> None:
        """A process has ended: the attempt goes on, is complete or fails."""
        run.finished, run.exit_code, run.message = now, exit_code, message
        if run.stopping and not run.succeeded:
            # As of a pod that was deleted, nothing stays of it.
            attempt.runs.remove(run)
            attempt.interrupted = attempt.interrupted or attempt.verdict is None
        elif not run.succeeded and attempt.verdict is None:
            _fail(attempt, run, now)
        _conclude(attempt, now)
        self._collect()

    def forget_unfinished(self) -> None:
        """Drop the attempts that have not ended: nothing of them runs, and they are made again."""
        self.known = [attempt for attempt in self.known if attempt.ended is not None]

    def _collect(self) -> None:
        self.known = [attempt for attempt in self.known if not attempt.terminating or attempt.live_runs]


def _fail(attempt: Attempt, run: Run, now: datetime) -> None:
    if run.exit_code in PERMANENT_EXIT_CODES:
        attempt.verdict = BY_POLICY
        _stop(attempt)
    elif not attempt.indexed:
        attempt.verdict = "BackoffLimitExceeded"
    elif run.failures < attempt.retries:
        failures = run.failures + 1
        wait = min(FIRST_BACK_OFF * 2 ** min(failures - 1, 10), LONGEST_BACK_OFF)
        attempt.runs.append(Run(f"{attempt.name}-{run.index}-{failures}", run.index, failures, now + wait))
    # Else its shard is lost. The others go on to their ends, as in an Indexed Job.


def _stop(attempt: Attempt) -> None:
    attempt.runs = [run for run in attempt.runs if run.started is not None]
    for run in attempt.live_runs:
        run.stopping = True


def _conclude(attempt: Attempt, now: datetime) -> None:
    """End the attempt when nothing of it runs or will run."""
    if attempt.ended is not None or attempt.interrupted or any(run.finished is None for run in attempt.runs):
        return
    if attempt.verdict is None and not all(_is_done(attempt.runs, index) for index in {r.index for r in attempt.runs}):
        attempt.verdict = "FailedIndexes"
    attempt.ended = now


def _is_done(runs: Iterable[Run], index: int) -> bool:
    return any(run.succeeded for run in runs if run.index == index)
