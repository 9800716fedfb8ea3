"""What the benchmark of the training stage makes of logs and seconds."""

import itertools

import pytest

from benchmarks.training_wrapper import UNSETTLED, Clock, Timed, figures, rows_of

LINE = "I1128 10:00:00 metric_logger.py:1] completed step: {}, seconds: {:.3f}, total_weights: 64, loss: 2.000"


def clock_of(*seconds: float) -> Clock:
    """A clock that has read so many steps; each look at the time is a second later."""
    ticks = itertools.count(100.0)
    clock = Clock(now=lambda: next(ticks))
    clock.read("Config param steps: 5")
    for number, one in enumerate(seconds, 1):
        assert not clock.read(LINE.format(number, one))
    return clock


def test_steps_count_once_they_have_settled_and_the_wall_from_the_first_ones_line() -> None:
    timed = clock_of(30.0, 9.0, 0.5, 0.7, 0.6).stop()
    assert timed == Timed(step=0.6, after_first=1.0, steps=5)


def test_a_run_that_ends_before_its_steps_have_settled_is_refused() -> None:
    with pytest.raises(ValueError, match=f"^{UNSETTLED} steps were made; more than {UNSETTLED} are needed$"):
        clock_of(*[1.0] * UNSETTLED).stop()
    with pytest.raises(ValueError, match="0 steps were made"):
        clock_of().stop()


def test_ratios_are_of_the_medians_of_all_rounds() -> None:
    stage = [Timed(1.0, 10.0, 5), Timed(1.02, 10.1, 5), Timed(9.0, 90.0, 5)]
    bare = [Timed(1.0, 10.0, 5), Timed(1.0, 10.0, 5), Timed(0.1, 1.0, 5)]
    told = figures(stage, bare)
    assert (told["ratioOfStep"], told["ratioAfterFirstStep"]) == (1.02, 1.01)
    assert told["secondsOfStep"] == {"stage": [1.0, 1.02, 9.0], "bare": [1.0, 1.0, 0.1]}
    assert told["rounds"] == 3 and told["steps"] == 5


def test_rows_are_conversations_of_one_exchange_that_all_differ() -> None:
    rows = rows_of(1000)
    assert len({row["prompt"][0]["content"] for row in rows}) == 1000
    assert all(row["reference"] and [turn["role"] for turn in row["prompt"]] == ["user"] for row in rows)
