"""kopf's watches, kept from going blind.

kopf reconnects a watch whose connection breaks or lasts for too long. It gives up for good when a stream has what it
doesn't understand, when an error other than 410 comes in one, and when a list can't be continued; and a watch that is
cancelled it drops without a word. Then it is started again in this process, which lists all that is watched. What was
deleted while nothing was watched is in no list, and no watch reports it: who keeps what was watched is called after
each list but the first.
"""

import asyncio
import contextvars
import itertools
import logging
import math
import signal
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any

import aiohttp
import kopf

from distillation_operator.controller.answers import Answer
from distillation_operator.controller.foreign_pages import refuse_pages
from distillation_operator.controller.generators import OpenGenerators
from distillation_operator.controller.listings import Listings
from distillation_operator.controller.patience import Patience, pause

SERVER_SECONDS = 15
"""After which the API server ends a watch. It sends a bookmark two seconds before, so that the next one goes on from
there, however long nothing has changed."""
LONGEST_SECONDS = 22.0
"""After which a watch is taken for dead that has not ended; the next one begins at the last version that it had."""
CALL_SECONDS = 30.0
CONNECT_SECONDS = 10.0
END_SECONDS = 5.0
LOOK_SECONDS = 2.0
WELL_SECONDS = 60.0
"""A run of kopf that lasted for so long was a good one."""
log = logging.getLogger(__name__)

_RUN = contextvars.ContextVar[object]("run of kopf")
"""In the context of all tasks that one run of kopf has begun."""


class WatchLost(Exception):
    """A watch has ended by itself, and kopf begins none in its place."""


class Backoffs:
    """Seconds between the tries of one call, without an end: what runs out of tries ends all watches."""

    def __iter__(self) -> Iterator[float]:
        return map(pause, itertools.count())


def keep_awake(settings: kopf.OperatorSettings) -> None:
    """Set what makes kopf notice connections on which nothing comes any more, and try again for ever."""
    settings.watching.server_timeout = SERVER_SECONDS
    # kopf's own limit of silence may go on when its watch has ended, as long as the error of an earlier one isn't
    # collected: it then cancels the watch that came after.
    settings.watching.inactivity_timeout = math.inf
    settings.watching.client_timeout = LONGEST_SECONDS
    settings.watching.connect_timeout = CONNECT_SECONDS
    # Between two lists, where each watch is answered 410.
    settings.watching.reconnect_backoff = 1.0
    settings.networking.request_timeout = CALL_SECONDS
    settings.networking.connect_timeout = CONNECT_SECONDS
    settings.networking.error_backoffs = Backoffs()
    # It kills the process so long after an end of kopf, also when that was not the process's.
    settings.process.ultimate_exiting_timeout = None


class Watches:
    """All watches of the operator.

    ``registry``: makes one with the handlers of what is watched, without handlers of logins. ``plurals``: of what is
    watched. ``missed``: called when something was listed again, so that deletions may have been missed; False
    when it has to be called once more.
    """

    def __init__(
        self,
        registry: Callable[[], kopf.OperatorRegistry],
        settings: Callable[[], Awaitable[kopf.OperatorSettings]],
        namespaces: Sequence[str],
        plurals: Sequence[str],
        missed: Callable[[], Awaitable[bool]],
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._namespaces = namespaces
        self._listings = Listings(plurals, missed)
        self._logins = 0
        self._logged_in = -float("inf")

    async def run(self, stop: asyncio.Event) -> None:
        """Watch, until ``stop`` is set or the process gets SIGTERM or SIGINT, which set it."""
        loop = asyncio.get_running_loop()
        failures = 0
        while not stop.is_set():
            begun = loop.time()
            problem = await self._run_kopf(stop)
            if stop.is_set():
                break
            failures = 0 if loop.time() - begun > WELL_SECONDS else failures + 1
            seconds = pause(failures)
            log.warning("the watches have ended by %r; they begin again in %.1f s", problem, seconds)
            await _wait(stop, seconds)
        await self._listings.close()

    async def _run_kopf(self, stop: asyncio.Event) -> BaseException | None:
        """One run; what has ended it."""
        context, run = contextvars.copy_context(), object()
        context.run(_RUN.set, run)
        generators = OpenGenerators(lambda: _RUN.get(None) is run)
        with generators.installed():
            try:
                return await self._run_in(context, run, stop)
            finally:
                await asyncio.wait([asyncio.create_task(generators.close())], timeout=END_SECONDS)

    async def _run_in(self, context: contextvars.Context, run: object, stop: asyncio.Event) -> BaseException | None:
        tasks = await asyncio.create_task(self._spawn(stop), context=context)
        # kopf's own handlers of signals know of one run alone.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        lost = asyncio.create_task(_lose_watch(run))
        try:
            done, _ = await asyncio.wait([*tasks, lost], return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            # Not by kopf.run_tasks, which ends all tasks of the loop, also those that aren't kopf's. When one watch has
            # failed the others go on, and need the session that the root tasks close; what they have begun themselves
            # they end themselves.
            begun = [task for task in asyncio.all_tasks() if task.get_context().get(_RUN) is run]
            await _end([task for task in begun if _is_watch(task)])
            await _end(tasks)
            await _end([task for task in begun if not task.done()])
        return next((task.exception() for task in done if not task.cancelled()), None)

    async def _spawn(self, stop: asyncio.Event) -> Collection[asyncio.Task[Any]]:
        registry = self._registry()
        kopf.on.login(registry=registry)(self._log_in)
        return await kopf.spawn_tasks(
            registry=registry,
            settings=await self._settings(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=stop,
        )

    async def _log_in(self, **arguments: Any) -> kopf.AiohttpSession | None:
        """kopf asks for it again whenever it is answered 401: tokens are read again, and another try is made a while
        later."""
        loop = asyncio.get_running_loop()
        recently = loop.time() - self._logged_in < WELL_SECONDS
        self._logins = self._logins + 1 if recently else 0
        if self._logins:
            await asyncio.sleep(pause(self._logins))
        self._logged_in = loop.time()
        found = kopf.login_with_kubeconfig(**arguments) or kopf.login_with_service_account(**arguments)
        if found is None:
            return None
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=found.as_ssl_context()),
            headers=found.as_http_headers(),
            proxy=found.proxy_url,
            trust_env=found.trust_env,
            middlewares=(self._listings, Patience(), refuse_pages),
            response_class=Answer,
        )
        return kopf.AiohttpSession(
            server=found.server, default_namespace=found.default_namespace, aiohttp_session=session
        )


async def _lose_watch(run: object) -> None:
    """Wait until a watch of this run is there no more. Raises WatchLost."""
    known: set[asyncio.Task[Any]] = set()
    while not (ended := {task for task in known if task.done()}):
        known = {task for task in asyncio.all_tasks() if _is_watch(task) and task.get_context().get(_RUN) is run}
        await asyncio.sleep(LOOK_SECONDS)
    raise WatchLost(", ".join(sorted(task.get_name() for task in ended)))


def _is_watch(task: asyncio.Task[Any]) -> bool:
    return task.get_name().startswith("watcher for ")


async def _end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """End these, or leave them after a while: what hangs must not keep the next run from watching."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=END_SECONDS)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Until then, or ``stop``."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
