"""What testbeds and the tests on them are made from, in parts: whoever needs some builds those and waits for no other.

A part's Go programs, Debian packages and Python environments wait for different things (compiler, package manager,
downloads), so the three kinds are made at the same time, each in a thread with a log of its own, and only what is
missing is made.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from testbed import binaries, debian, environments
from testbed.commands import end_logged
from testbed.console import Say
from testbed.layout import build_log, cache, locked

_PROGRESS_SECONDS = 15


@dataclass(frozen=True)
class Part:
    """What is needed together."""

    programs: tuple[binaries.Binary, ...] = ()
    packages: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()


PARTS = {
    "control-plane": Part((binaries.KUBE, binaries.JOBSET), debian.CONTROL_PLANE),
    "node": Part((binaries.COREDNS, binaries.PAUSE), debian.NODE),
    # The control plane's kubectl renders Kueue's manifests.
    "kueue": Part((binaries.KUBE, binaries.KUEUE)),
    "helm": Part((binaries.HELM,)),
    "gcs": Part((binaries.GCS,)),
    "browser": Part(packages=debian.BROWSER),
    **{name: Part(environments=(name,)) for name in (*environments.NAMES, *environments.TOOLS)},
}


def build(say: Say, wanted: Iterable[str]) -> None:
    """Make what is missing of the parts of these names; instant when nothing is."""
    parts = [PARTS[name] for name in wanted]
    absent = missing(parts)
    if not absent:
        return
    logs = cache() / "logs"
    say(f"building {'; '.join(f'{kind}: {", ".join(names)}' for kind, names in absent.items())}, logs in {logs}")
    _build(say, parts, list(absent))


def missing(parts: Sequence[Part]) -> dict[str, list[str]]:
    """What isn't there yet, by kind; kinds of which everything is there are left out."""
    absent = {
        "go": binaries.missing(_all(part.programs for part in parts)),
        "debian": debian.missing(_all(part.packages for part in parts)),
        "python": environments.missing(_all(part.environments for part in parts)),
    }
    return {kind: names for kind, names in absent.items() if names}


def _all[T](groups: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    """The members of all groups, each once."""
    return tuple(dict.fromkeys(member for group in groups for member in group))


def _build(say: Say, parts: list[Part], kinds: list[str]) -> None:
    doing: dict[str, str] = {}

    def step(kind: str) -> Callable[[str], None]:
        def begin(what: str) -> None:
            doing[kind] = what
            say(what)

        return begin

    jobs: dict[str, Callable[[Part], None]] = {
        "go": lambda part: binaries.build(part.programs, build_log("go"), step("go")),
        "debian": lambda part: debian.install(part.packages, build_log("debian")),
        "python": lambda part: environments.build(part.environments, build_log("python"), step("python")),
    }

    def make(kind: str) -> None:
        for part in parts:
            # Two sessions that start from an empty cache must not compile the same thing twice; and who waits for one
            # part must not wait for all that another session builds.
            with locked(cache() / f".{kind}.lock"):
                jobs[kind](part)

    with ThreadPoolExecutor(len(kinds)) as pool:
        running = {pool.submit(make, kind): kind for kind in kinds}
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
