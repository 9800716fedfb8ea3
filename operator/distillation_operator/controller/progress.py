"""Progress of running pods, read from the tails of their logs: no port, no credential, no service in the pod.

A job is looked at for its progress only when there is some that a reader would see: a first line, a percent more, or
anything else after a while. What is decided on in between is what was shown last, so that it changes no status.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from distillation_api.contract import Progress
from distillation_operator.controller.kube import ApiError, Kube
from distillation_operator.controller.queue import Key
from distillation_operator.controller.side_calls import SideCall, SideCalls
from distillation_operator.controller.turns import Turns
from distillation_operator.manifests.reading import parse_progress
from distillation_operator.pipeline.observed import Pod

SECONDS_BETWEEN_READS = 4.0
"""Of one pod's log, until it has a line of progress."""
SECONDS_BETWEEN_LATER_READS = 8.0
"""What is read then is shown every ten seconds at the most."""
SECONDS_BETWEEN_TRIES = 16.0
"""Of a log that can't be read, in the end."""
SECONDS_BETWEEN_FIRSTS = 1.0
"""First lines of a job's pods are shown together that come within this time."""
SECONDS_BETWEEN_STEPS = 10.0
"""A step of a percent is shown no sooner after what was shown before."""
SECONDS_UNTIL_STALE = 30.0
"""A smaller change is shown after this time."""
STEP = 0.01
LINES = 40


@dataclass
class _Tail:
    pod: Pod
    asked_at: float = -math.inf
    pause: float = SECONDS_BETWEEN_READS
    line: Progress | None = None
    shown: Progress | None = None


@dataclass
class _Job:
    tails: dict[str, _Tail] = field(default_factory=dict)
    """By pod."""
    shown_at: float = -math.inf
    follower: asyncio.Task[None] | None = None


class ProgressReader:
    """The progress lines of each job's running pods; a log is read again only after a while.

    ``changed``: told of the job when there is something to show.
    """

    def __init__(self, kube: Kube, calls: SideCalls, changed: Callable[[Key], None]) -> None:
        self._kube = kube
        self._calls = calls
        self._changed = changed
        self._jobs: dict[Key, _Job] = {}
        self._last: dict[Key, dict[tuple[str, int], Progress]] = {}
        self._turns = Turns()

    def known(self, key: Key, pods: Iterable[Pod]) -> dict[str, Progress]:
        """Progress by pod, of those of a job's pods that report, as it is shown. Their logs are read from now on, until
        they aren't among the pods any more.
        """
        before = self._jobs.get(key) or _Job()
        tails = {pod.name: before.tails.get(pod.name) or _Tail(pod) for pod in pods}
        for name, tail in before.tails.items():
            if name not in tails:
                self._keep_last(key, tail)
        if not tails:
            self._unfollow(key)
            return {}
        job = self._jobs[key] = before
        self._turns.note(key, len(tails))
        job.tails = tails
        self._ask(key, job)
        if job.follower is None:
            job.follower = asyncio.create_task(self._follow(key, job))
        return {name: tail.shown for name, tail in tails.items() if tail.shown is not None}

    def last(self, key: Key, owners: Iterable[str]) -> dict[tuple[str, int], Progress]:
        """The last line of each index of the Jobs with these UIDs: of pods that are gone the last that was read, of
        others what is shown. What is known of other Jobs, such as older ones of the same name, is dropped.
        """
        wanted = set(owners)
        last = {place: line for place, line in self._last.get(key, {}).items() if place[0] in wanted}
        self._last[key] = last
        if not last:
            del self._last[key]
        return dict(last)

    def forget(self, key: Key) -> None:
        """Drop what is known of a job that is gone."""
        self._unfollow(key)
        self._last.pop(key, None)

    def _unfollow(self, key: Key) -> None:
        job = self._jobs.pop(key, None)
        self._turns.note(key, 0)
        if job is not None and job.follower is not None:
            job.follower.cancel()

    async def _follow(self, key: Key, job: _Job) -> None:
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_READS)
            if _has_news(job, asyncio.get_running_loop().time()):
                self._show(key, job)
                self._changed(key)
            self._ask(key, job)

    def _ask(self, key: Key, job: _Job) -> None:
        now, turn = asyncio.get_running_loop().time(), self._turns.seconds
        for tail in job.tails.values():
            if now - tail.asked_at >= max(tail.pause, turn):
                tail.asked_at = now
                self._calls.ask(self._call(key, tail))

    def _show(self, key: Key, job: _Job) -> None:
        job.shown_at = asyncio.get_running_loop().time()
        for tail in job.tails.values():
            tail.shown = tail.line
            self._keep_last(key, tail)

    def _keep_last(self, key: Key, tail: _Tail) -> None:
        if tail.line is not None:
            self._last.setdefault(key, {})[tail.pod.owner, tail.pod.index] = tail.line

    def _call(self, key: Key, tail: _Tail) -> SideCall:
        pod = tail.pod

        async def read() -> None:
            unread, tail.pause = min(2 * tail.pause, SECONDS_BETWEEN_TRIES), SECONDS_BETWEEN_READS
            try:
                line = parse_progress(await self._kube.read_log_tail(key[0], pod.name, LINES))
            except (ApiError, asyncio.CancelledError):
                tail.pause = unread
                raise
            if line is not None:
                tail.pause = SECONDS_BETWEEN_LATER_READS
            # The job may have been forgotten, or its pod be gone, while the log was on its way.
            job = self._jobs.get(key)
            if line is None or job is None or job.tails.get(pod.name) is not tail:
                return
            tail.line = line
            if tail.shown is None and asyncio.get_running_loop().time() - job.shown_at >= SECONDS_BETWEEN_FIRSTS:
                self._show(key, job)
                self._changed(key)

        return SideCall(("log", key, pod.name), key, read, pod.node)


def _has_news(job: _Job, now: float) -> bool:
    """Whether what was read differs from what is shown by so much that a reader should see it."""
    changed = [tail for tail in job.tails.values() if tail.line != tail.shown]
    if any(tail.shown is None for tail in changed):
        return True
    waited = now - job.shown_at
    if not changed or waited < SECONDS_BETWEEN_STEPS:
        return False
    return waited >= SECONDS_UNTIL_STALE or _is_step(job)


def _is_step(job: _Job) -> bool:
    """Whether the pods of a child have done a percent more of what they all have to do, or less."""
    moved, totals = defaultdict[str, int](int), defaultdict[str, int](int)
    for tail in job.tails.values():
        if tail.line is not None and tail.shown is not None:
            moved[tail.pod.child] += tail.line.done - tail.shown.done
            totals[tail.pod.child] += max(tail.line.total, 0)
    return any(moved[child] and abs(moved[child]) >= STEP * total for child, total in totals.items())
