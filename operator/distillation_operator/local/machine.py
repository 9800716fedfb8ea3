"""What this machine, or the container that `local` runs in, has for stages."""

import os
from fractions import Fraction
from pathlib import Path

from distillation_operator.local.capacity import Requests

CGROUP = Path("/sys/fs/cgroup")
"""Of cgroup v2, as a container sees it."""
_CHIPS = ("accel[0-9]*", "vfio/[0-9]*")
"""Files of TPU chips below /dev."""


def capacity(cores: int | None = None, cgroup: Path = CGROUP) -> Requests:
    """All that processes may share. ``cores``: those that the user gives them; None: all."""
    return Requests(Fraction(cores or _cores(cgroup)), Fraction(_memory(cgroup)), chips_here())


def chips_here(dev: Path = Path("/dev")) -> int:
    """TPU chips of this machine."""
    return max(len(list(dev.glob(pattern))) for pattern in _CHIPS)


def _cores(cgroup: Path) -> int:
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no cgroup v2, or "max": no limit
        return cores


def _memory(cgroup: Path) -> int:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(whole, int((cgroup / "memory.max").read_text()))
    except (OSError, ValueError):
        return whole
