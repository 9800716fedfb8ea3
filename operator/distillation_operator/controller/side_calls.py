"""Calls to the API server for what people like to read: log tails, Events, a queue's words. No decision waits for one.

Each has a short time, a job and a namespace have a share of the places, and a node whose kubelet doesn't answer isn't
asked again for a while. A call that isn't made is no loss: what is still wanted is asked for again.
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from distillation_operator.controller.kube import ApiError
from distillation_operator.controller.node_breaker import NodeBreaker
from distillation_operator.controller.queue import Key

AT_ONCE = 16
AT_ONCE_PER_NAMESPACE = 8
AT_ONCE_PER_JOB = 4
WAITING_PER_JOB = 512
SECONDS = 2.0
ENDING_SECONDS = 2.0
"""At the end of the process, for what needs no kubelet: Events are written once or never."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SideCall:
    """One call."""

    name: Hashable
    """By which it is known: it is made once at a time."""
    key: Key
    make: Callable[[], Awaitable[None]]
    """Makes the call and keeps what it brings. May raise ApiError."""
    node: str | None = None
    """Whose kubelet has to answer, where one has."""
    seconds: float = SECONDS


class _Waiting:
    """The calls of one job that wait, in the order in which they were asked for; what needs no kubelet doesn't wait
    behind what does.
    """

    def __init__(self) -> None:
        self._server = OrderedDict[Hashable, SideCall]()
        self._kubelets = OrderedDict[Hashable, SideCall]()

    def __len__(self) -> int:
        return len(self._server) + len(self._kubelets)

    def __contains__(self, name: Hashable) -> bool:
        return name in self._server or name in self._kubelets

    def put(self, call: SideCall) -> None:
        """Add a call, or replace the one of its name at its place."""
        here, there = (self._server, self._kubelets) if call.node is None else (self._kubelets, self._server)
        there.pop(call.name, None)
        here[call.name] = call

    def drop_those_of_kubelets(self) -> None:
        """Drop what a kubelet would have to answer."""
        self._kubelets.clear()

    def pop(self) -> SideCall:
        """Take the next."""
        return (self._server or self._kubelets).popitem(last=False)[1]


class SideCalls:
    """Calls that wait for their turn, and those that are being made. For one event loop.

    ``count``: told how each ended: done, refused, unanswered (in time or at all), skipped (never made), failed (by an
    error of ours).
    """

    def __init__(self, count: Callable[[str], None] = lambda result: None) -> None:
        self._count = count
        self._nodes = NodeBreaker()
        self._waiting: OrderedDict[str, OrderedDict[Key, _Waiting]] = OrderedDict()
        """By namespace and job; the next in turn first."""
        self._made: dict[Hashable, asyncio.Task[None]] = {}
        self._of_kubelets: set[Hashable] = set()
        """Of those that are being made."""
        self._of_namespace: Counter[str] = Counter()
        self._of_job: Counter[Key] = Counter()

    def ask(self, call: SideCall) -> None:
        """Have a call made when its turn comes, unless it waits or is being made already."""
        if call.name in self._made:
            return
        of_job = self._waiting.setdefault(call.key[0], OrderedDict()).setdefault(call.key, _Waiting())
        if call.name not in of_job and len(of_job) >= WAITING_PER_JOB:
            self._count("skipped")
            return
        of_job.put(call)
        self._make_some()

    async def close(self) -> None:
        """Make what needs no kubelet, for a moment, and give up the rest."""
        self._drop_those_of_kubelets()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ENDING_SECONDS
        while (ending := self._without_kubelet()) and (left := deadline - loop.time()) > 0:
            await asyncio.wait(ending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        self._waiting.clear()
        made = list(self._made.values())
        for task in made:
            task.cancel()
        await asyncio.gather(*made, return_exceptions=True)

    def _drop_those_of_kubelets(self) -> None:
        for namespace, jobs in list(self._waiting.items()):
            for key, calls in list(jobs.items()):
                calls.drop_those_of_kubelets()
                if not calls:
                    del jobs[key]
            if not jobs:
                del self._waiting[namespace]

    def _without_kubelet(self) -> list[asyncio.Task[None]]:
        return [task for name, task in self._made.items() if name not in self._of_kubelets]

    def _make_some(self) -> None:
        while len(self._made) < AT_ONCE and (call := self._next()) is not None:
            if call.node is not None and not self._nodes.may_ask(call.node):
                self._count("skipped")
                continue
            self._of_namespace[call.key[0]] += 1
            self._of_job[call.key] += 1
            if call.node is not None:
                self._of_kubelets.add(call.name)
            self._made[call.name] = asyncio.create_task(self._make(call))

    def _next(self) -> SideCall | None:
        """The first in turn whose namespace and job have places left; both stand behind all others then."""
        for namespace, jobs in self._waiting.items():
            if self._of_namespace[namespace] >= AT_ONCE_PER_NAMESPACE:
                continue
            for key, calls in jobs.items():
                if self._of_job[key] >= AT_ONCE_PER_JOB:
                    continue
                call = calls.pop()
                jobs.move_to_end(key)
                self._waiting.move_to_end(namespace)
                if not calls:
                    del jobs[key]
                if not jobs:
                    del self._waiting[namespace]
                return call
        return None

    async def _make(self, call: SideCall) -> None:
        try:
            result = await self._result(call)
        finally:
            del self._made[call.name]
            self._of_kubelets.discard(call.name)
            _release(self._of_namespace, call.key[0])
            _release(self._of_job, call.key)
        self._count(result)
        self._make_some()

    async def _result(self, call: SideCall) -> str:
        answered, result, begun = True, "done", asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(call.seconds):
                await call.make()
        except TimeoutError:
            answered, result = False, "unanswered"
        except ApiError as error:
            # The API server's own answer when it can't reach the kubelet is one of these too.
            answered = 0 < error.status < 500
            result = "refused" if answered else "unanswered"
        except Exception:
            result = "failed"
            log.exception("a side call failed", extra={"job": call.key})
        if call.node is not None:
            self._nodes.tell(call.node, answered, begun)
        return result


def _release[K](counts: Counter[K], which: K) -> None:
    counts[which] -= 1
    if not counts[which]:
        del counts[which]
