"""Chip-hours are counted from the pods' running time, once, and a budget of them stops the job without losing work."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from distillation_operator.pipeline.observed import Pod
from support.scenario import BEFORE_TRAINING, START, Given

CHIPS = 8
"""Two hosts of four chips."""


def on_tpu(**members: Any) -> Given:
    """A job whose training runs on 8 chips, about to train."""
    training = {
        "accelerator": {"type": "tpu-v4-podslice", "topology": "2x2x2"},
        "stages": [{"name": "one", "steps": 10}],
    }
    given = Given(training=training, **members).done(*BEFORE_TRAINING)
    return given.child("train-one")


def running(given: Given, attempt: int = 0) -> Given:
    """Both hosts of the slice run from now on."""
    for index in range(2):
        given.running_pod("train-one", attempt, index, started=given.now)
    return given


def test_each_chip_is_counted_for_as_long_as_its_pod_runs() -> None:
    given = running(on_tpu())
    assert given.decide().stage("train-one").chip_seconds is None
    seen = given.later(1800).decide()
    assert seen.stage("train-one").chip_seconds == 1800 * CHIPS
    assert seen.status.chip_hours == "4.0"


def test_a_pod_that_saves_when_its_child_is_gone_is_counted_on() -> None:
    """Up to an hour of chips, each time that a job is suspended."""
    given = running(on_tpu())
    given.later(60).decide()
    given.gone("train-one")
    assert given.later(600).decide().stage("train-one").chip_seconds == 660 * CHIPS


def test_looking_often_counts_once() -> None:
    given = running(on_tpu())
    for _ in range(1000):
        given.later(1.7).decide()
    given.later(30).decide()
    assert given.status is not None
    counted = given.decide().stage("train-one").chip_seconds
    assert counted == int((given.now - START).total_seconds()) * CHIPS


def test_a_pod_on_cpu_costs_no_chips() -> None:
    given = Given().child("fetch-student").running_pod("fetch-student", started=START)
    assert given.later(3600).decide().status.chip_hours is None


def test_what_went_while_nobody_looked_is_counted_to_its_end() -> None:
    given = running(on_tpu())
    given.later(60).decide()
    given.no_pods()
    for index in range(2):
        ended = START + timedelta(seconds=100)
        given.ended_pod("train-one", index=index, started=START, finished=ended, exit_text="exit code 1")
    assert given.later(3600).decide().stage("train-one").chip_seconds == 100 * CHIPS


def test_the_time_of_all_attempts_counts() -> None:
    given = running(on_tpu())
    given.later(60).decide()
    given.no_pods().crashed("train-one", ago=0)
    for _ in range(3):
        given.later(10).act()
    assert given.later(10).act().stage("train-one").attempt == 1
    running(given, attempt=1).later(60)
    assert given.decide().stage("train-one").chip_seconds == 120 * CHIPS


def test_pods_that_lie_still_cause_no_write() -> None:
    given = running(on_tpu())
    given.later(60).decide()
    given.no_pods()
    before = given.later(60).decide().status
    assert given.later(3600).decide().status == before


@examples(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 500), st.booleans()), max_size=12))
def test_whenever_it_looks_the_sum_is_that_of_the_pods(steps: list[tuple[int, int, bool]]) -> None:
    """Pods start and end at any moment between two looks; each is seen until it has been counted to its end."""
    given, expected = on_tpu(), 0
    for number, (wait, length, late) in enumerate(steps):
        given.later(wait)
        begin, end = given.now, given.now + timedelta(seconds=length)
        name = f"pod-{number}"
        given.pod("train-one", name=name, running=True, started=begin)
        if late:
            given.decide()
        given.later(length)
        given.pods[name] = Pod(name, given.name_of("train-one"), 0, ended=True, started=begin, finished=end)
        given.decide()
        del given.pods[name]
        expected += length * 4
        given.decide()
    assert given.status is None or sum(stage.chip_seconds or 0 for stage in given.status.stages) == expected


# The budget


def test_a_budget_that_is_used_suspends_the_job_and_says_so() -> None:
    given = running(on_tpu(budget={"maxChipHours": 4}))
    given.later(1799)
    assert given.decide().status.phase == "Running"
    seen = given.later(31).act()
    assert seen.deleted == ["job-train-one-0"]
    assert seen.status.phase == "Suspended"
    condition = seen.condition("Suspended")
    assert (condition.status, condition.reason) == ("True", "BudgetReached")
    assert "4.1 chip-hours are used, budget.maxChipHours is 4" in condition.message
    assert seen.states("generate", "train-one") == ["Complete", "Suspended"]


def test_it_is_looked_at_again_when_the_budget_will_be_used() -> None:
    given = running(on_tpu(budget={"maxChipHours": 0.01}))
    wait = given.decide().decision.requeue_after
    assert wait == timedelta(seconds=36 / CHIPS)


def test_a_higher_budget_lets_it_go_on() -> None:
    given = running(on_tpu(budget={"maxChipHours": 1}))
    given.later(600).act()
    given.no_pods().gone("train-one")
    assert given.later(60).decide().status.phase == "Suspended"
    assert given.spec(budget={"maxChipHours": 2}).act().created == ["train-one/1"]


@pytest.mark.parametrize("suspend", [True, False])
def test_a_users_suspension_is_told_before_the_budget(suspend: bool) -> None:
    given = running(on_tpu(budget={"maxChipHours": 1}, suspend=suspend))
    reason = given.later(3600).decide().condition("Suspended").reason
    assert reason == ("SuspendedByUser" if suspend else "BudgetReached")
