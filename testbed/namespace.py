"""One private network, mount and process namespace: everything of a testbed runs in it and ends with it.

Its process 1 is a small shell script that reaps orphans (namespace-init.sh). When that process is killed, the kernel
kills all others, and with the last one the mounts and links are gone. Processes started here are addressed from the
host by their host pids.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.commands import output
from testbed.layout import SOURCES
from testbed.waiting import until

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Namespace:
    """A namespace that was created: the host pid of its process 1 and the kernel's name of its process namespace.

    The kernel's name tells whether a pid read from a file is still ours or was given to another process since.
    """

    init: int
    identity: str

    @classmethod
    def create(cls, ready: Path, state: Path, log: Path) -> "Namespace":
        """Make a namespace; process 1 touches `ready` when its mounts are in place, and ends if `state` isn't there."""
        ready.unlink(missing_ok=True)
        unshare = ["unshare", "--mount", "--net", "--pid", "--propagation", "private", "--"]
        init = _background(unshare, ["sh", str(SOURCES / "namespace-init.sh"), str(ready), str(state)], log, {})
        try:
            until("namespace", ready.exists, timeout=10, log=log, alive=lambda: _running(init))
        except BaseException:
            os.kill(init, signal.SIGKILL)
            raise
        return cls(init, _identity(init))

    def alive(self) -> bool:
        """Whether its process 1 runs."""
        return self.has(self.init)

    def has(self, pid: int) -> bool:
        """Whether the process with this host pid runs, and runs in this namespace."""
        return _running(pid) and _identity(pid) == self.identity

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` inside."""
        return ["nsenter", "--target", str(self.init), "--mount", "--net", "--pid", "--", *argv]

    def output(self, argv: Sequence[str], *, timeout: float = 30) -> str:
        """Run a short command inside and return its output."""
        return output(self.command(argv), timeout=timeout)

    def spawn(self, argv: Sequence[str], log: Path, env: Mapping[str, str]) -> int:
        """Start a process inside that outlives this one, and return its host pid."""
        # Without the fork the shell itself stays in the host's process namespace: it knows its child by the host pid.
        enter = ["nsenter", "--target", str(self.init), "--mount", "--net", "--pid", "--no-fork", "--"]
        return _background(enter, argv, log, env)

    def end(self) -> None:
        """Kill everything in it and wait until the kernel has done so."""
        if self.alive():
            os.kill(self.init, signal.SIGKILL)
        until("end of the namespace", lambda: not self._processes(), timeout=30)

    def _processes(self) -> list[int]:
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in pids if self.has(pid)]


def _background(enter: Sequence[str], argv: Sequence[str], log: Path, env: Mapping[str, str]) -> int:
    script = 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'
    clean = ["env", "-i", f"PATH={_PATH}", "HOME=/", *(f"{key}={value}" for key, value in env.items())]
    return int(output([*enter, *clean, "sh", "-c", script, "sh", str(log), *argv]))


def _identity(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    # The state follows the command, which is in parentheses and may contain any character.
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
