"""What processes use of the machine, as the kernel tells it, and when one has come to rest."""

import os
import time
from pathlib import Path

_LOOK_SECONDS = 0.25
_BUSY = 0.1
"""More of a core than this is no rest."""
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Seconds of a core that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid: int) -> dict[str, float]:
    """A process's resident set in MB, now and at its largest."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kilobytes = {line[0]: int(line[1]) for line in lines if line[0] in ("VmRSS:", "VmHWM:")}
    return {
        "residentMB": round(kilobytes["VmRSS:"] * 1024 / 1e6, 1),
        "peakMB": round(kilobytes["VmHWM:"] * 1024 / 1e6, 1),
    }


def wait_for_rest(pid: int, quiet: float, timeout: float) -> float:
    """Wait until a process has used next to nothing for ``quiet`` seconds; returns when it was busy last (Unix time).

    Raises AssertionError when that isn't so within ``timeout`` seconds.
    """
    deadline, used, busy = time.monotonic() + timeout, cpu_seconds(pid), time.time()
    while time.time() - busy < quiet:
        assert time.monotonic() < deadline, f"process {pid} is still busy after {timeout:.0f} s"
        time.sleep(_LOOK_SECONDS)
        now = cpu_seconds(pid)
        if now - used > _BUSY * _LOOK_SECONDS:
            busy = time.time()
        used = now
    return busy
