"""V7: an engine that hangs costs as much as one that works."""

import threading
import time

import pytest

from distillation_stages.runtime.watchdog import Watchdog


def test_it_gives_up_when_nothing_moves_any_more() -> None:
    given_up = threading.Event()
    with Watchdog(0.05, given_up.set).watching():
        assert given_up.wait(10)


def test_it_does_not_while_something_moves() -> None:
    given_up = threading.Event()
    with Watchdog(0.5, given_up.set).watching() as watchdog:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            watchdog.beat()
            time.sleep(0.01)
    assert not given_up.is_set()


def test_it_ends_with_its_block() -> None:
    given_up = threading.Event()
    before = threading.active_count()
    with pytest.raises(ValueError, match="boom"), Watchdog(60, given_up.set).watching():
        raise ValueError("boom")
    assert threading.active_count() == before
