"""Of the chip-seconds those before first tokens and steps are told, by part, for every pod and attempt once."""

from datetime import timedelta
from typing import Any

import pytest

from distillation_api.contract import StageFailure, StartUp
from support.scenario import BEFORE_TRAINING, START, Given

CHIPS = 8
"""Two hosts of four chips."""
TOLD = StartUp(imports=10, weights=20, compile=30, other=5)
EIGHT_CHIPS = {"type": "tpu-v5-lite-podslice", "topology": "2x4"}


def on_tpu() -> Given:
    """A job whose training runs on 8 chips, about to train."""
    training = {
        "accelerator": {"type": "tpu-v4-podslice", "topology": "2x2x2"},
        "stages": [{"name": "one", "steps": 10}],
    }
    return Given(training=training).done(*BEFORE_TRAINING).child("train-one")


def starting(given: Given, attempt: int = 0, pull: float = 40) -> Given:
    """Both hosts of the slice have started, their programs after their images had come."""
    for index in range(2):
        started = given.now
        begun = started + timedelta(seconds=pull)
        given.running_pod("train-one", attempt, index, started=started, container_started=begun)
    return given


def parts(podStart: int, imports: int, weights: int, compile: int, other: int) -> dict[str, int]:
    named = {"podStart": podStart, "imports": imports, "weights": weights, "compile": compile, "other": other}
    return {part: seconds * CHIPS for part, seconds in named.items()}


def test_the_first_host_tells_for_all_chips_of_the_slice() -> None:
    given = starting(on_tpu()).later(600).says("train-one", 1, 10, start_up=TOLD)
    seen = given.decide().stage("train-one")
    assert seen.chip_seconds_idle == parts(40, 10, 20, 30, 5)


def test_what_is_said_again_counts_once() -> None:
    given = starting(on_tpu()).later(300)
    for step in range(1, 5):
        given.says("train-one", step, 10, start_up=TOLD).later(30).decide()
    assert given.decide().stage("train-one").chip_seconds_idle == parts(40, 10, 20, 30, 5)


def test_a_start_that_goes_on_replaces_what_it_has_said_before() -> None:
    given = starting(on_tpu()).later(300).says("train-one", 0, 10, start_up=StartUp(imports=10, other=15))
    assert given.decide().stage("train-one").chip_seconds_idle == parts(40, 10, 0, 0, 15)
    given.later(60).says("train-one", 1, 10, start_up=TOLD)
    assert given.decide().stage("train-one").chip_seconds_idle == parts(40, 10, 20, 30, 5)


def test_all_attempts_count_and_a_pod_that_is_gone_is_not_forgotten() -> None:
    given = starting(on_tpu()).later(300).says("train-one", 1, 10, start_up=TOLD)
    given.decide()
    given.no_pods().crashed("train-one", ago=0)
    for _ in range(3):
        given.later(10).act()
    starting(given, attempt=1, pull=0).later(300).says("train-one", 1, 10, attempt=1, start_up=TOLD)
    assert given.decide().stage("train-one").chip_seconds_idle == parts(40, 20, 40, 60, 10)


def test_one_that_fails_before_its_first_step_tells_in_its_last_words() -> None:
    failure = StageFailure(stage="train-one", reason="X", message="", permanent=False, start_up=StartUp(other=50))
    given = on_tpu()
    facts: dict[str, Any] = {"started": START, "container_started": START, "finished": START + timedelta(seconds=60)}
    given.ended_pod("train-one", failure=failure, exit_code=75, **facts).later(100)
    assert given.decide().stage("train-one").chip_seconds_idle == parts(0, 0, 0, 0, 50)


def test_each_shard_tells_for_its_own_chips() -> None:
    given = Given(generation={"shards": 2, "accelerator": EIGHT_CHIPS})
    given.done(*BEFORE_TRAINING[: BEFORE_TRAINING.index("generate")]).child("generate")
    for index, told in enumerate((TOLD, StartUp(imports=1))):
        given.running_pod("generate", index=index, started=START, container_started=START)
        given.says("generate", 1, 10, index=index, unit="rows", start_up=told)
    seen = given.later(600).decide().stage("generate")
    assert seen.chip_seconds_idle == parts(0, 11, 20, 30, 5)


@pytest.mark.parametrize("part", ["imports", "weights", "compile", "other"])
def test_no_more_is_told_than_the_pod_has_run(part: str) -> None:
    """A program prints what it likes."""
    told = StartUp.model_validate({part: 1e8, "other": 1e8})
    given = starting(on_tpu()).later(100).says("train-one", 1, 10, start_up=told)
    seen = given.decide().stage("train-one")
    assert seen.chip_seconds_idle is not None
    assert sum(seen.chip_seconds_idle.values()) == 100 * CHIPS


def test_on_cpu_nothing_is_idle() -> None:
    given = Given().done(*BEFORE_TRAINING).child("train-one").running_pod("train-one", started=START)
    given.says("train-one", 1, 10, start_up=TOLD).later(100)
    assert given.decide().stage("train-one").chip_seconds_idle is None
