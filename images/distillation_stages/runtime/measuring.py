"""What a program of a preview measures of itself and of its pod; see the contract's ``Measurements``."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from distillation_api.contract import Measurements
from distillation_api.contract.measurements import UNLIMITED
from distillation_stages.runtime import device_access

_KIB = 1024
_DEVICES = Path("/dev")
_PROCESSES = Path("/proc")
_SHARED_MEMORY = Path("/dev/shm")


def measured(units: int, unit_seconds: float | None, **found: float | None) -> Measurements:
    """The program's speed, what it has found besides, and what every program can tell of its pod."""
    return Measurements(
        units=units,
        unit_seconds=unit_seconds,
        host_memory=peak_memory(),
        device_files=device_files(),
        locked_memory=locked_memory(),
        shared_memory=shared_memory(),
        uid=os.getuid(),
        **found,
    )


def peak_memory(processes: Path = _PROCESSES) -> int:
    """Bytes of memory that this process and those it has started have held at most, each by itself; of those that have
    ended only the greatest is known.
    """
    own, ended = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    running = sum(_greatest(processes / str(pid)) for pid in _descendants(processes, os.getpid()))
    return _KIB * (own + max(ended, running))


def _descendants(processes: Path, root: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for status in processes.glob("[0-9]*/status"):
        parent = _number(status, "PPid:")
        if parent is not None:
            children.setdefault(parent, []).append(int(status.parent.name))
    open_ones = list(children.get(root, []))
    while open_ones:
        pid = open_ones.pop()
        open_ones += children.get(pid, [])
        yield pid


def _greatest(process: Path) -> int:
    return _number(process / "status", "VmHWM:") or 0


def _number(status: Path, member: str) -> int | None:
    """A member of a process's status; None where the process has gone, or has none."""
    try:
        line = next(line for line in status.read_text().splitlines() if line.startswith(member))
        return int(line.split()[1])
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def device_files(devices: Path = _DEVICES) -> int:
    """How many files of TPU chips there are."""
    return len(device_access.device_files(devices))


def locked_memory() -> float:
    """The hard limit of locked memory in bytes."""
    return float(device_access.hard_limit()) if device_access.memory_is_limited() else UNLIMITED


def shared_memory(directory: Path = _SHARED_MEMORY) -> int | None:
    """Bytes of /dev/shm; None where there is none."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return found.f_frsize * found.f_blocks
