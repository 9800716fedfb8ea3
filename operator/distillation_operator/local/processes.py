"""Processes of this machine in the place of pods: started, asked to end, killed after their grace, read at their end.

Each has a session of its own, so that Ctrl-C reaches ``local`` alone. It gets SIGTERM when ``local`` is gone, and
whatever it has started ends with it, as in a container.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from distillation_api.contract import TERMINATION_MESSAGE_LIMIT
from distillation_operator.local.compiled import CompiledPrograms
from distillation_operator.local.environment import PROCESS_ENV
from distillation_operator.local.leftovers import kill_marked, mark_of_process

NOT_STARTED = 128
"""Exit code of a program that the system didn't start."""
_TAIL_BYTES, _TAIL_LINES = 2048, 80
"""Of a log, in the place of the message of a program that left none; as the kubelet takes it."""
_PROGRESS_BYTES = 16_384
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Start:
    """What is to be started."""

    name: str
    """Of the process; no other that runs has it."""
    command: Sequence[str]
    environment: Mapping[str, str]
    scratch: Path
    """Its working directory, which is made, and removed at its end."""
    log: Path
    """Where its output is added."""
    grace: float
    """Seconds between SIGTERM and SIGKILL."""


@dataclass(frozen=True)
class End:
    """How a process has ended."""

    exit_code: int
    """As a container's: 128 and the signal's number for one that a signal has ended."""
    message: str | None


class Processes(Protocol):
    """The processes of one job."""

    def start(self, start: Start) -> None:
        """Start one; where that fails it has ended at once."""

    def stop(self, name: str) -> None:
        """Ask one to end; after its grace it is killed. Asked again it changes nothing."""

    def kill(self) -> None:
        """Kill all that run."""

    def ended(self) -> dict[str, End]:
        """Those that have ended since it was asked last, by name; kills what is beyond its grace."""

    def next_kill(self) -> float | None:
        """Seconds until the next one is beyond its grace."""

    def output(self, name: str) -> str:
        """The tail of the log of one that runs."""


@dataclass
class _Running:
    start: Start
    process: "subprocess.Popen[bytes]"
    offset: int
    """Where its own output begins in the log."""
    kill_at: float | None = None


class LocalProcesses:
    """Children of this process. Only the main thread may start one: its end would be taken for that of ``local``."""

    def __init__(self, owner: str, compiled: CompiledPrograms) -> None:
        """``owner``: what marks them: the job's folder. Its UID would do, but for folders that were copied.
        ``compiled``: what they compile for each other.
        """
        self._owner = owner
        self._compiled = compiled
        self._running: dict[str, _Running] = {}
        self._failed: dict[str, End] = {}

    def start(self, start: Start) -> None:
        self._compiled.begin()
        try:
            start.scratch.mkdir(parents=True)
            start.log.parent.mkdir(parents=True, exist_ok=True)
            with start.log.open("ab") as log:
                offset = log.tell()
                self._running[start.name] = _Running(start, self._popen(start, log.fileno()), offset)
        except OSError as error:
            shutil.rmtree(start.scratch, ignore_errors=True)
            what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            self._failed[start.name] = End(NOT_STARTED, f"the program could not be started: {what}")

    def _popen(self, start: Start, log: int) -> "subprocess.Popen[bytes]":
        parent = os.getpid()

        def die_with_parent() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(128 + signal.SIGTERM)

        return subprocess.Popen(
            list(start.command),
            env={**start.environment, PROCESS_ENV: mark_of_process(self._owner, start.name).rstrip("\0")},
            cwd=start.scratch,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def stop(self, name: str) -> None:
        running = self._running.get(name)
        if running is not None and running.kill_at is None:
            running.kill_at = time.monotonic() + running.start.grace
            running.process.terminate()

    def kill(self) -> None:
        for running in self._running.values():
            self._kill(running)

    def _kill(self, running: _Running) -> None:
        running.process.kill()
        kill_marked(mark_of_process(self._owner, running.start.name))

    def ended(self) -> dict[str, End]:
        ended, self._failed = self._failed, {}
        for name, running in list(self._running.items()):
            if running.process.poll() is None and running.kill_at is not None and time.monotonic() >= running.kill_at:
                self._kill(running)
                running.process.wait()
            if running.process.poll() is not None:
                # What it has left behind ends with it, or would write beside its successor.
                self._kill(running)
                ended[name] = _end(running)
                shutil.rmtree(running.start.scratch, ignore_errors=True)
                del self._running[name]
        if ended:
            # Before the ends are known: what follows them reads what is compiled.
            self._compiled.end(all(end.exit_code == 0 for end in ended.values()), is_last=not self._running)
        return ended

    def next_kill(self) -> float | None:
        due = [running.kill_at for running in self._running.values() if running.kill_at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def output(self, name: str) -> str:
        running = self._running.get(name)
        return "" if running is None else _tail(running, _PROGRESS_BYTES)


def _end(running: _Running) -> End:
    code = running.process.returncode
    message = _termination_message(running.start.scratch / "termination-log")
    if message is None and code != 0:
        message = "\n".join(_tail(running, _TAIL_BYTES).splitlines()[-_TAIL_LINES:]) or None
    return End(128 - code if code < 0 else code, message)


def _termination_message(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(TERMINATION_MESSAGE_LIMIT).decode(errors="replace") or None
    except OSError:
        return None


def _tail(running: _Running, size: int) -> str:
    """The last bytes that this process has written."""
    try:
        with running.start.log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(running.offset, end - size))
            return file.read(size).decode(errors="replace")
    except OSError:
        return ""
