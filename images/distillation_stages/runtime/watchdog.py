"""Ends a program whose engine hangs: a pod that waits for ever costs as much as one that works."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watchdog:
    """Calls ``give_up`` in a thread of its own when ``beat`` hasn't been called for ``seconds``."""

    def __init__(self, seconds: float, give_up: Callable[[], None]) -> None:
        self._seconds = seconds
        self._give_up = give_up
        self._last = time.monotonic()
        self._ended = threading.Event()

    def beat(self) -> None:
        """Something has moved."""
        self._last = time.monotonic()

    @contextmanager
    def watching(self) -> Iterator["Watchdog"]:
        """Watch until the block ends."""
        self.beat()
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    def _watch(self) -> None:
        while True:
            left = self._last + self._seconds - time.monotonic()
            if left <= 0:
                self._give_up()
                return
            if self._ended.wait(left):
                return


def exit_at_once(code: int) -> None:
    """End the process though its main thread hangs in foreign code that no exception reaches."""
    os._exit(code)
