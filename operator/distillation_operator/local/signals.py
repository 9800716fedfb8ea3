"""Signals as something to wait for, together with the ends of children."""

import os
import select
import signal
import socket
from types import FrameType
from typing import Self

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """While it is entered, signals that ask this process to end are counted instead of ending it."""

    def __init__(self) -> None:
        self.received: list[int] = []
        """Those that ask for the end, in their order."""

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._before = {number: signal.signal(number, self._note) for number in (*ENDING, signal.SIGCHLD)}
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
        if number in ENDING:
            self.received.append(number)
