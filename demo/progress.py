"""Lines of progress from the first second: what is being done, since when, and how long all of it will still take."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from demo.estimate import Estimate, Step, in_words

STARTED_ENV = "DEMO_STARTED"
"""When the command began (``time.time()``), for the interpreter that goes on with it."""
_QUIET_SECONDS = 15


class Progress:
    """Prints lines with the seconds since the command began; in silence, every 15 s what is still being done."""

    def __init__(self) -> None:
        self._began = float(os.environ.setdefault(STARTED_ENV, repr(time.time())))
        self._estimate = Estimate([], time.monotonic())
        self._doing = ""
        self._last = time.monotonic()
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        """Print a line."""
        with self._lock:
            self._last = time.monotonic()
            print(f"[{max(time.time() - self._began, 0):6.1f} s] {line}", flush=True)

    def plan(self, steps: Sequence[Step]) -> None:
        """The steps from now on; the first one begins."""
        self._estimate = Estimate(steps, time.monotonic())

    def begin(self, step: str, line: str) -> None:
        """A step of the plan begins: print the line and how long all of it will still take."""
        self._doing = line
        self._estimate.begin(step, time.monotonic())
        self.say(f"{line}; {self.left()}")

    def left(self) -> str:
        """The time left, in words."""
        return in_words(self._estimate.left(time.monotonic()))

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Inside of this no silence is longer than 15 s."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(1):
                if time.monotonic() - self._last >= _QUIET_SECONDS:
                    self.say(f"still {self._doing[:1].lower()}{self._doing[1:]}; {self.left()}")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
