"""The limit of what pytest's own timeout doesn't count."""

import signal
import threading

import pytest

from support.time_limit import within


def test_work_that_never_ends_fails_by_name() -> None:
    named = pytest.raises(pytest.fail.Exception, match=r"not within 0\.05 s: the set-up of a test")
    with named, within(0.05, "the set-up of a test"):
        threading.Event().wait()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_no_limit_is_left_after_work_that_ends() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with within(60, "nothing"):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == before
