"""A program that ends in order by itself when it is asked to, run with its lines and its signals handed on."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_to_its_end(argv: Sequence[str], folder: Path, say: Callable[[str], None]) -> int:
    """Run the program in the folder and ``say`` its lines; returns its exit code, or 128 and the signal.

    Signals that ask this process to end reach the program instead, each once: it has a session of its own, in which it
    gets nothing from the terminal, or from whoever sends to the whole group.
    """
    variables = os.environ | {"PYTHONUNBUFFERED": "1"}
    with (
        handed_on() as hand_to,
        subprocess.Popen(
            argv, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True, errors="replace", start_new_session=True
        ) as process,
    ):
        hand_to(process)
        for line in process.stdout or ():
            say(line.rstrip())
        code = process.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def handed_on() -> Iterator[Callable[[subprocess.Popen[str]], None]]:
    """Signals go to the process that the yielded function is given; those that come before are kept for it."""
    receivers: list[subprocess.Popen[str]] = []
    early: list[int] = []
    seen: set[int] = set()

    def hand_on(number: int, frame: FrameType | None) -> None:
        # `make` and shells repeat these to their children, whose group may have got them; Ctrl-C twice is meant.
        if number in seen and number != signal.SIGINT:
            return
        seen.add(number)
        if receivers:
            receivers[0].send_signal(number)
        else:
            early.append(number)

    def hand_to(process: subprocess.Popen[str]) -> None:
        receivers.append(process)
        for number in early:
            process.send_signal(number)

    # What is ignored stays so, as `nohup` wants it.
    handled = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, hand_on) for number in handled}
    try:
        yield hand_to
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
