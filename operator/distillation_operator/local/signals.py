"""Signals as something to wait for, together with the ends of children."""

import os
import select
import signal
import socket
import time
from types import FrameType
from typing import Self

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_IGNORED_FOR_A_REASON = (signal.SIGINT, signal.SIGHUP)
"""By nohup, and by a shell without job control for what it runs in the background."""
_SECONDS_OF_ONE = 1.0
"""What is sent to a process group and handed on by its leader comes twice, and is one request."""


class Signals:
    """While it is entered, signals that ask this process to end are counted instead of ending it."""

    def __init__(self) -> None:
        self.received: list[int] = []
        """Those that ask for the end, in their order; what follows the first at once isn't one more."""
        self._first = 0.0

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        ignored = {number for number in _IGNORED_FOR_A_REASON if signal.getsignal(number) is signal.SIG_IGN}
        noted = (number for number in (*ENDING, signal.SIGCHLD) if number not in ignored)
        self._before = {number: signal.signal(number, self._note) for number in noted}
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()

    def wait(self, seconds: float | None) -> None:
        """Return when a signal has come or a child has ended, at once if that was since the last wait; else after the
        time.
        """
        select.select([self._reader], [], [], seconds)
        try:
            while os.read(self._reader.fileno(), 4096):
                pass
        except BlockingIOError:
            return

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number not in ENDING:
            return
        now = time.monotonic()
        self._first = self._first if self.received else now
        if not self.received or now - self._first >= _SECONDS_OF_ONE:
            self.received.append(number)
