"""What a machine must have, looked at before anything is made: the standard library alone, so that it can be first."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from distillation_operator.local.cache import cache
from distillation_operator.local.downloads import GIB, gib

_PODS_OWN = Path("/tmp")
_GO_MODULE = Path(__file__).resolve().parent / "kube" / "go.mod"

Check = Callable[[], str | None]
"""What is wrong and what to do about it, in one line; None when all is well."""


def problems(checks: Iterable[Check]) -> list[str]:
    """Everything that is wrong, so that it can be put right at once."""
    return [problem for check in checks if (problem := check()) is not None]


def linux() -> str | None:
    """A kernel with namespaces and cgroups."""
    return None if sys.platform == "linux" else "the testbed needs Linux: it is made of namespaces and cgroups"


def root() -> str | None:
    """The rights to make namespaces, mounts and network links."""
    if os.geteuid() == 0:
        return None
    return (
        "the testbed needs root: it makes namespaces, mounts and network links; use sudo, or `make quickstart`, which "
        "needs neither root nor a cluster"
    )


def cache_that_pods_see() -> str | None:
    """A folder of the cache that containers can mount."""
    if not cache().is_relative_to(_PODS_OWN):
        return None
    return (
        f"DISTILLATION_CACHE is {cache()}; choose a folder outside {_PODS_OWN}: every pod has a {_PODS_OWN} of its "
        "own, which would hide it"
    )


def packages() -> str | None:
    """Debian's package manager, which has containerd, iptables and the like."""
    if shutil.which("apt-get") and shutil.which("dpkg-query"):
        return None
    return "the testbed needs Debian or Ubuntu: apt-get, by which it installs a container runtime, isn't here"


def go() -> str | None:
    """A Go that is new enough to compile Kubernetes."""
    needed = go_version(_GO_MODULE.read_text(), r"^go (\S+)$")
    remedy = f"Kubernetes is compiled by Go {needed} or newer; get it from https://go.dev/dl and put go on the PATH"
    program = shutil.which("go")
    if program is None:
        return f"Go isn't on the PATH: {remedy}"
    # A newer one isn't downloaded: GOTOOLCHAIN is `local` in builds, and must be here too.
    told = subprocess.run(
        [program, "version"], capture_output=True, text=True, check=False, env=os.environ | {"GOTOOLCHAIN": "local"}
    ).stdout
    found = go_version(told, r"\bgo(\d+(?:\.\d+)+)")
    if found is None or _numbers(found) < _numbers(needed or "0"):
        return f"{program} is {found or 'no Go that works'}: {remedy}"
    return None


def memory(needed: int) -> Check:
    """At least so many bytes of memory that programs can have."""

    def check() -> str | None:
        free = available_memory()
        if free is None or free >= needed:
            return None
        return (
            f"{gib(free)} of memory are free and {gib(needed)} are needed: end other programs, or take a larger machine"
        )

    return check


def disk(folder: Path, needed: int, remedy: str) -> Check:
    """At least so many bytes free where ``folder`` is, or will be."""

    def check() -> str | None:
        there = folder.absolute()
        while not there.exists():
            there = there.parent
        free = shutil.disk_usage(there).free
        return None if free >= needed else f"{folder} has {gib(free)} free and about {gib(needed)} are needed: {remedy}"

    return check


def available_memory(meminfo: Path = Path("/proc/meminfo"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that programs can still have: of the machine, or of the container if that is less. None when unknown."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE)
        machine = None if found is None else int(found[1]) * 1024
    except OSError:
        return None
    try:
        limit = (groups / "memory.max").read_text().strip()
        used = (groups / "memory.current").read_text().strip()
        # Pages of files count as used, and go when memory is needed.
        files = re.search(r"^file (\d+)$", (groups / "memory.stat").read_text(), re.MULTILINE)
    except OSError:
        return machine
    if not (limit.isdigit() and used.isdigit()):
        return machine
    container = max(int(limit) - int(used) + (0 if files is None else int(files[1])), 0)
    return container if machine is None else min(machine, container)


def go_version(text: str, pattern: str) -> str | None:
    """The first version in a text that the pattern's group has."""
    found = re.search(pattern, text, re.MULTILINE)
    return None if found is None else found[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


TESTBED: tuple[Check, ...] = (linux, cache_that_pods_see, root)
"""What a testbed can't be without, built or not."""
MEMORY_OF_A_RUN = 5 * GIB
"""What the largest stages of the demo take together."""
