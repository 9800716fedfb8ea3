"""What this process may do with the accelerator's devices: open them, and lock the memory that their driver needs.

``docs/gke.md`` has where the facts are from.
"""

import os
import resource
import stat
from pathlib import Path

from distillation_api import reasons
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.reporting import say

_DEVICES = ("accel[0-9]*", "vfio/[0-9]*")
"""The chips' own files; /dev/vfio/vfio, which all chips share, is open to everybody."""


def lift_locked_memory() -> None:
    """Raise the soft limit of locked memory to the hard one, and both where this process may; harmless where not."""
    hard = hard_limit()
    for limit in (resource.RLIM_INFINITY, hard):
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
        except (OSError, ValueError):
            continue
        return


def device_files(dev: Path) -> list[Path]:
    """Files of TPU chips below the folder: up to v4 accelN, later vfio/N."""
    return sorted(path for pattern in _DEVICES for path in dev.glob(pattern))


def require_devices(dev: Path = Path("/dev")) -> None:
    """Raise StageError where there are chips and none of them can be opened; the runtime would find out in minutes."""
    devices = device_files(dev)
    if not devices:
        return
    closed = [path for path in devices if not os.access(path, os.R_OK | os.W_OK)]
    say(f"chips: {len(devices)}, of which {len(closed)} can't be opened; {rights()}")
    if len(closed) == len(devices):
        raise StageError(
            reasons.ACCELERATOR_DENIED,
            f"Permission denied for {_described(closed[0])}, and so for all {len(devices)} chips of this pod. {cure()}",
        )


def rights() -> str:
    """What a pod may, as far as the accelerator's driver needs it."""
    locked = f"at most {hard_limit()} bytes" if memory_is_limited() else "without limit"
    return f"uid {os.getuid()}; may lock memory {locked}"


def memory_is_limited() -> bool:
    """Whether more than some amount of memory can't be locked, by the hard limit."""
    return hard_limit() != resource.RLIM_INFINITY


def hard_limit() -> int:
    """Bytes of memory that this process may lock at most, which none without privilege can raise; RLIM_INFINITY where
    nothing limits them.
    """
    return resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]


def cure() -> str:
    """What gives this pod more, with what it has."""
    profile = "Privileged" if os.getuid() == 0 else "LockedMemory"
    return (
        "Take node pools of GKE 1.28 or newer, where that needs no privilege, or have the chart's value "
        f"stagePods.acceleratorProfile set to {profile} ({rights()})"
    )


def _described(device: Path) -> str:
    found = device.stat()
    return f"{device} (mode {stat.S_IMODE(found.st_mode):04o}, of uid {found.st_uid} and gid {found.st_gid})"
