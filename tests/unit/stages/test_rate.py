"""The rate by which the end is estimated leaves out the start, however long it takes."""

import json
import time

import pytest

from distillation_stages.runtime.reporting import Reporter


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def passes(self, seconds: float) -> None:
        self.now += seconds


def rates(capsys: pytest.CaptureFixture[str]) -> list[float | None]:
    return [json.loads(line).get("rate") for line in capsys.readouterr().out.splitlines()]


def test_the_rate_begins_with_the_first_unit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    reporter = Reporter("train-one", "steps")
    clock.passes(300)
    reporter.progress(500, 1000)
    clock.passes(600)
    for step in range(501, 504):
        reporter.progress(step, 1000)
        clock.passes(4)
    assert rates(capsys) == [None, None, 0.25, 0.25]


def test_a_program_that_does_all_at_once_has_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    reporter = Reporter("fetch", "bytes")
    reporter.progress(0, 10)
    clock.passes(5)
    reporter.progress(10, 10)
    reporter.progress(10, 10)
    assert rates(capsys) == [None, None, None]
