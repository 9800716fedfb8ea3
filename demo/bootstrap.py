"""The first second of `make quickstart` and `make demo`, with nothing but a Python: ``python -m demo.bootstrap NAME``.

Looks at the machine, says all that is missing with its remedy, makes the environment of the operator, and goes on in
that. Imports the standard library alone, and this checkout's modules that do the same.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from demo.progress import Progress
from distillation_operator.local import environments
from distillation_operator.local.cache import cache
from distillation_operator.local.downloads import GIB, size_of
from distillation_operator.local.installer import PreparationError, logged_to
from distillation_operator.local.locks import IMAGES
from testbed import binaries, machine

CHECKOUT = Path(__file__).resolve().parents[1]
STAGES = ("fetcher", "converter", "trainer", "teacher")
"""Images of which the demo's stages run, in the order in which their environments are made fastest."""
PROGRAMS = (binaries.KUBE, binaries.JOBSET, binaries.COREDNS, binaries.PAUSE, binaries.HELM)
_OF_A_RUN = 3 * GIB
"""What models, checkpoints and the student of a run take on disk."""
_OF_GO = 9 * GIB
"""Sources, cached packages and programs of a Go build of Kubernetes."""
_ROOM = "make room there (`distillation-operator` in the cache may be deleted; it is made again)"


def main() -> int:
    """Check the machine and replace this process by the named module's; 1 with the problems, if there are any."""
    name, *arguments = sys.argv[1:]
    progress = Progress()
    progress.say(f"distillation-operator: make {_target(name, arguments)}, on {os.cpu_count()} cores")
    try:
        if wrong := machine.problems(_checks(name)):
            for problem in wrong:
                print(f"{name}: {problem}", file=sys.stderr)
            return 1
        environments.build(["operator"], logged_to(cache() / "logs" / "python.log"), progress.say)
    except PreparationError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted; it continues from here when started again", file=sys.stderr)
        return 130
    return go_on(environments.python("operator"), name, arguments)


def go_on(python: Path, name: str, arguments: Sequence[str]) -> int:
    """Replace this process by the named module's in that interpreter; 1 where it can't be run."""
    module = {"demo": "demo", "quickstart": "demo.quickstart"}[name]
    sys.stdout.flush()
    path = os.pathsep.join(str(CHECKOUT / folder) for folder in ("operator", "images", ""))
    try:
        os.execve(python, [str(python), "-m", module, *arguments], os.environ | {"PYTHONPATH": path})
    except OSError as error:
        remedy = f"delete {python.parents[1]} and start again, which makes it anew"
        print(f"{name}: {python} can't be run ({error.strerror}): {remedy}", file=sys.stderr)
        return 1


def _target(name: str, arguments: list[str]) -> str:
    return "-".join([name, *(argument.removeprefix("--") for argument in arguments)])


def _checks(name: str) -> list[machine.Check]:
    """What a machine must have for a quickstart, or for a demo on the testbed."""
    if name == "demo" and os.environ.get("KUBECONFIG"):
        return []
    absent = environments.missing(STAGES)
    present = set(IMAGES) - set(environments.missing(IMAGES))
    of_cache = size_of(absent, present).disk
    memory = machine.memory(machine.MEMORY_OF_A_RUN)
    if name == "quickstart":
        return [_linux, memory, *_disks(of_cache)]
    checks = [*machine.TESTBED, machine.packages, memory]
    if binaries.missing(PROGRAMS):
        checks.append(machine.go)
        of_cache += _OF_GO
    return [*checks, *_disks(of_cache)]


def _disks(of_cache: int) -> list[machine.Check]:
    """Room for the cache and for the run, which may be on one disk."""
    build = CHECKOUT / "build"
    if _device(cache()) == _device(build):
        return [machine.disk(cache(), of_cache + _OF_A_RUN, _ROOM)]
    return [machine.disk(cache(), of_cache, _ROOM), machine.disk(build, _OF_A_RUN, "make room there")]


def _device(path: Path) -> int:
    while not path.exists():
        path = path.parent
    return path.stat().st_dev


def _linux() -> str | None:
    if sys.platform == "linux":
        return None
    return (
        f"the stages' packages (vLLM for CPUs, MaxText) are made for Linux, and this is {sys.platform}: use a container"
    )


if __name__ == "__main__":
    sys.exit(main())
