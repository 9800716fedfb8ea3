"""A program that the quickstart runs ends in order, and hears of each wish to end exactly once."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.child import handed_on
from support.eventually import eventually

PROGRAM = """
import pathlib, signal, sys
ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
signal.pthread_sigmask(signal.SIG_BLOCK, ending)
pathlib.Path(sys.argv[1], "running").touch()
heard = []
while len(heard) < 2:
    heard.append(str(int(signal.sigwait(ending))))
    pathlib.Path(sys.argv[1], "heard").write_text(" ".join(heard))
sys.exit(7)
"""
RUNS_IT = """
import os, signal, sys
from pathlib import Path
from demo.child import run_to_its_end
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(run_to_its_end([sys.executable, "-c", *sys.argv[1:]], Path("."), print))
"""


@contextmanager
def running(folder: Path, *before: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program, run by a process with a group of its own, as a shell would give it; it ends at the second signal."""
    command = [*before, sys.executable, "-c", RUNS_IT, PROGRAM, str(folder)]
    with subprocess.Popen(command, process_group=0, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            eventually("the program", (folder / "running").exists, 60)
            yield process
        finally:
            process.kill()


def heard(folder: Path) -> str:
    return (folder / "heard").read_text() if (folder / "heard").exists() else ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("send", [os.killpg, os.kill])
def test_a_signal_to_the_group_or_to_the_process_is_heard_once(
    number: int, send: Callable[[int, int], None], tmp_path: Path
) -> None:
    with running(tmp_path) as process:
        send(process.pid, number)
        eventually("the signal", lambda: heard(tmp_path) != "", 60)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 7
    assert heard(tmp_path) == f"{int(number)} {int(signal.SIGINT)}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_make_or_a_shell_sends_again_is_heard_once(number: int, tmp_path: Path) -> None:
    """Both hand to their children what the children's group has got as well."""
    with running(tmp_path) as process:
        process.send_signal(number)
        eventually("the signal", lambda: heard(tmp_path) != "", 60)
        process.send_signal(number)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 7
    assert heard(tmp_path) == f"{int(number)} {int(signal.SIGINT)}"


def test_under_nohup_a_hangup_is_not_heard(tmp_path: Path) -> None:
    with running(tmp_path, "nohup") as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        eventually("the signal", lambda: heard(tmp_path) != "", 60)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 7
    assert heard(tmp_path) == f"{int(signal.SIGTERM)} {int(signal.SIGINT)}"


def test_a_signal_that_comes_while_the_program_is_started_is_kept_for_it() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with handed_on() as hand_to:
        os.kill(os.getpid(), signal.SIGTERM)
        with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], text=True) as process:
            hand_to(process)
            assert process.wait(60) == -signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
