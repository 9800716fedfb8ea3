"""Everything a testbed needs before it can go up without a network: binaries, Debian packages, environments.

The three kinds wait for different things (compiler, package manager, downloads), so they are made at the same time,
each in a thread with a log of its own, and only what is missing is made.
"""

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

from testbed import binaries, debian, environments
from testbed.commands import end_logged
from testbed.console import Say
from testbed.layout import build_log, cache, locked
from testbed.site import Depth

_PROGRESS_SECONDS = 15


def build(say: Say, depth: Depth) -> None:
    """Make what is missing for a testbed of this depth; instant when nothing is."""
    absent = missing(depth)
    if not absent:
        return
    logs = cache() / "logs"
    say(f"building {'; '.join(f'{kind}: {", ".join(names)}' for kind, names in absent.items())}, logs in {logs}")
    # Two sessions that start from an empty cache must not compile the same thing twice.
    with locked(cache() / ".build.lock"):
        _build(say, depth, list(absent))


def missing(depth: Depth) -> dict[str, list[str]]:
    """What isn't there yet, by kind; kinds of which everything is there are left out."""
    programs, packages = _wanted(depth)
    absent = {
        "go": binaries.missing(programs),
        "debian": debian.missing(packages),
        "python": environments.missing() if depth is Depth.FULL else [],
    }
    return {kind: names for kind, names in absent.items() if names}


def _wanted(depth: Depth) -> tuple[tuple[binaries.Binary, ...], tuple[str, ...]]:
    if depth is Depth.FULL:
        return binaries.ALL, debian.ALL
    return binaries.CONTROL_PLANE, debian.CONTROL_PLANE


def _build(say: Say, depth: Depth, kinds: list[str]) -> None:
    programs, packages = _wanted(depth)
    doing: dict[str, str] = {}

    def step(kind: str) -> Callable[[str], None]:
        def begin(what: str) -> None:
            doing[kind] = what
            say(what)

        return begin

    jobs: dict[str, Callable[[Path], None]] = {
        "go": lambda log: binaries.build(programs, log, step("go")),
        "debian": lambda log: debian.install(packages, log),
        "python": lambda log: environments.build(log, step("python")),
    }
    with ThreadPoolExecutor(len(kinds)) as pool:
        running = {pool.submit(jobs[kind], build_log(kind)): kind for kind in kinds}
        try:
            _watch(say, running, doing)
        except BaseException:
            end_logged()
            raise
    say("everything is built")


def _watch(say: Say, running: dict[Future[None], str], doing: dict[str, str]) -> None:
    waiting = set(running)
    while waiting:
        done, waiting = wait(waiting, timeout=_PROGRESS_SECONDS, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        if waiting:
            say(f"still building: {', '.join(doing.get(running[future], running[future]) for future in waiting)}")
