"""The environment that torch, transformers and vLLM read when they are imported, where the pod leaves it open."""

import os
from pathlib import Path

from distillation_api.contract import SCRATCH_MOUNT

CGROUP = Path("/sys/fs/cgroup")
"""Of cgroup v2, as a container sees it."""

CPU_QUOTA = CGROUP / "cpu.max"
"""Quota and period in microseconds, as cgroup v2 shows them in a container."""


def set_environment() -> None:
    """Sets defaults; to be called before any of these libraries is imported."""
    if not os.access(os.environ.get("HOME", "/"), os.W_OK):
        # Libraries cache in the home directory, and the pod's root is read-only.
        os.environ["HOME"] = SCRATCH_MOUNT
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # Threads that spin while they wait take the cores from the other pods on the node: seven times slower was measured.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OMP_NUM_THREADS", str(available_cpus()))
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    # Read on CPU only: GiB for the KV cache. Without it vLLM takes a share of the node's memory, not the pod's.
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")


def available_cpus(quota_file: Path = CPU_QUOTA) -> int:
    """The cores that this pod may use: its affinity, and its CPU limit where it has one."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = quota_file.read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2, or "max": no limit
        return cores


def available_memory(cgroup: Path = CGROUP, meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that this pod may still take: of its limit, and of the node; None where neither is known."""
    left = []
    try:
        limit, used = ((cgroup / name).read_text() for name in ("memory.max", "memory.current"))
        left.append(int(limit) - int(used) + _reclaimable(cgroup))
    except (OSError, ValueError):  # no cgroup v2, or "max": no limit
        pass
    try:
        line = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:"))
        left.append(int(line.split()[1]) * 1024)
    except (OSError, StopIteration, ValueError, IndexError):
        pass
    return max(0, min(left)) if left else None


def _reclaimable(cgroup: Path) -> int:
    """Bytes of files that were read and may be dropped: they count as used, but not as needed."""
    try:
        lines = (cgroup / "memory.stat").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError, IndexError):
        return 0
