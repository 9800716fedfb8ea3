"""A process of a test or a benchmark, and what the kernel says of it."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class MeasuredProcess:
    """A command that is started, signalled and measured; what it prints goes to the end of a file."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self._command = list(command)
        self._log = log
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)

    def end(self, number: int = signal.SIGKILL) -> int:
        """End it; its exit code."""
        self.signal(number)
        assert self._process is not None
        return self._process.wait(timeout=20)

    def stop(self) -> None:
        """Kill it, if it was started and runs."""
        if self._process is not None and self._process.poll() is None:
            self.end()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def exit_code(self) -> int | None:
        """None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def memory(self) -> int:
        """Bytes of memory that it holds."""
        return self._kernels_bytes("VmRSS")

    def peak_memory(self) -> int:
        """The most bytes of memory that it has held."""
        return self._kernels_bytes("VmHWM")

    def cpu_seconds(self) -> float:
        """Time of a processor that it has used."""
        assert self._process is not None
        return cpu_seconds(self._process.pid)

    def text(self) -> str:
        """All that it has printed."""
        return self._log.read_text()

    def _kernels_bytes(self, member: str) -> int:
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{member}:"))


def cpu_seconds(pid: int) -> float:
    """Time of a processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
