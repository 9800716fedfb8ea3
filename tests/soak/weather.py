"""What goes wrong, one fault after the other, in an order that the seed decides."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

from support.faulty_server import GARBAGE, FaultyServer


class Weather(threading.Thread):
    """Faults in random turns until it is told to end. ``seen``: how often each came.

    ``fault_seconds``, ``calm_seconds``: the shortest and longest time of the faults that last, and between two faults.
    """

    def __init__(
        self,
        server: FaultyServer,
        seed: int,
        fault_seconds: tuple[float, float],
        calm_seconds: tuple[float, float],
    ) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._chance = random.Random(seed)
        self._fault_seconds = fault_seconds
        self._calm_seconds = calm_seconds
        self._over = threading.Event()
        self._error: BaseException | None = None
        self.seen: Counter[str] = Counter()

    def run(self) -> None:
        """Each fault once in each round, in another order."""
        try:
            while True:
                faults = list(_faults(self._server).items())
                self._chance.shuffle(faults)
                for name, begin in faults:
                    if self._over.wait(self._chance.uniform(*self._calm_seconds)):
                        return
                    self.seen[name] += 1
                    print(f"soak: {name}", flush=True)
                    lasting = begin()
                    if lasting is not None:
                        with lasting:
                            self._over.wait(self._chance.uniform(*self._fault_seconds))
        except BaseException as error:
            self._error = error

    def end(self) -> None:
        """End it; raises what ended it before."""
        self._over.set()
        self.join()
        if self._error is not None:
            raise self._error


def _faults(server: FaultyServer) -> dict[str, Callable[[], AbstractContextManager[None] | None]]:
    """By name; those that return a context last as long as it."""
    return {
        "watches hang": server.hang_watches,
        "connections are half open": server.go_half_open,
        "connections are reset": server.drop_connections,
        "watches are reset in a line": lambda: server.cut_watches("aborted"),
        "watches end in a line": lambda: server.cut_watches("ended"),
        "garbage in watches": lambda: server.say(GARBAGE),
        "410 in watches": lambda: server.say_error(410, "Expired"),
        "500 in watches": lambda: server.say_error(500, "InternalError"),
        "504 in watches": lambda: server.say_error(504, "Timeout"),
        "lists can't be continued": lambda: server.failing(pages_gone=True),
        "429 for a third": lambda: server.failing(throttled=0.33, retry_after=2.0),
        "429 for all": lambda: server.failing(throttled=1.0, retry_after=5.0),
        "5xx for two thirds": lambda: server.failing(storm=0.66),
        "401": lambda: server.failing(unauthorized=True),
        "pages of HTML for a third": lambda: server.failing(unreadable=0.33),
        "a tenth of the speed": lambda: server.failing(latency=0.1, bytes_per_second=200_000),
        "nobody there": server.refusing,
    }
