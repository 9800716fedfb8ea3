"""Running other programs to their end: short ones with their output returned, long ones with it in a log file."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.errors import TestbedError, log_end

_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()


def output(argv: Sequence[str], *, stdin: str | None = None, timeout: float = 30, cwd: Path | None = None) -> str:
    """Run a short command and return its standard output; what it wrote to standard error becomes the error."""
    try:
        done = subprocess.run(
            argv, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, capture_output=True, text=True,
            timeout=timeout, cwd=cwd, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise TestbedError(f"{argv[0]} isn't installed or isn't on PATH") from error
    except subprocess.TimeoutExpired as error:
        raise TestbedError(f"not done after {timeout:.0f} s: {' '.join(argv)}") from error
    if done.returncode:
        raise TestbedError(f"exit code {done.returncode}: {' '.join(argv)}\n{done.stderr.strip()}")
    return done.stdout


def logged(
    argv: Sequence[str],
    log: Path,
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> None:
    """Run a long command (a build, an installation) with its output appended to `log`, and with these descriptors."""
    with log.open("ab") as sink:
        sink.write(f"$ {' '.join(argv)}\n".encode())
        sink.flush()
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, cwd=cwd,
                env={**os.environ, **(env or {})}, start_new_session=True, pass_fds=pass_fds,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise TestbedError(f"{argv[0]} isn't installed or isn't on PATH") from error
    with _lock:
        _running.add(process)
    try:
        code = process.wait(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        _end(process)
        raise TestbedError(f"not done after {timeout:.0f} s: {' '.join(argv)}\n{log_end(log)}") from error
    finally:
        with _lock:
            _running.discard(process)
    if code:
        raise TestbedError(f"exit code {code}: {' '.join(argv)}\n{log_end(log)}")


def end_logged() -> None:
    """End the long commands that other threads are waiting for: what Ctrl-C means for them."""
    with _lock:
        processes = list(_running)
    for process in processes:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    # Each has a session of its own, so its children (compilers, dpkg) end with it.
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    process.wait()
