"""A failed job is taken up again by an annotation, once per nonce."""

import pytest

from distillation_operator.pipeline.decision.job import is_over
from distillation_operator.pipeline.decision.retry_request import RETRY_ANNOTATION
from support.scenario import ALL, BEFORE_TRAINING, Given


def failed() -> Given:
    """A job whose first training stage has failed for good."""
    given = Given(retries={"failures": 0}).done(*BEFORE_TRAINING).crashed("train-one")
    assert given.decide().status.phase == "Failed"
    return given


def test_the_failed_stage_is_tried_again_and_its_attempts_are_counted_anew() -> None:
    given = failed().annotated({RETRY_ANNOTATION: "train-one/1"})
    seen = given.act()
    assert seen.created == ["train-one/1"]
    stage = seen.stage("train-one")
    assert (stage.state, stage.attempts.failures) == ("Pending", 0)
    assert seen.status.phase == "Running" and seen.status.completion_time is None
    assert not seen.holds("Failed") and not seen.holds("Stalled")
    assert seen.states(*BEFORE_TRAINING) == ["Complete"] * len(BEFORE_TRAINING)


def test_a_job_is_over_until_it_is_taken_up_again() -> None:
    """What an installation no longer allows isn't judged once it is over, and is as soon as it would run again."""
    ended = failed()
    assert is_over(ended.job)
    assert is_over(ended.annotated({RETRY_ANNOTATION: "nonsense/1"}).job)
    assert not is_over(ended.annotated({RETRY_ANNOTATION: "train-one/1"}).job)
    assert not is_over(Given().job)


def test_it_works_once_per_nonce() -> None:
    given = failed().annotated({RETRY_ANNOTATION: "train-one/1"})
    given.act()
    given.crashed("train-one", attempt=1, ago=0)
    given.later(60).act()
    seen = given.later(60).act()
    assert seen.status.phase == "Failed" and seen.created == []
    assert given.annotated({RETRY_ANNOTATION: "train-one/2"}).act().created == ["train-one/2"]


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ("train-one", "give STAGE/NONCE"),
        ("train-one/", "give STAGE/NONCE"),
        ("train-two/1", "names 'train-two'; failed has train-one"),
        ("nonsense/1", "names 'nonsense'; failed has train-one"),
    ],
)
def test_a_retry_of_no_use_is_told_and_changes_nothing(request_: str, told: str) -> None:
    given = failed().annotated({RETRY_ANNOTATION: request_})
    seen = given.act()
    assert seen.created == [] and seen.status.phase == "Failed" and seen.holds("Failed")
    assert told in seen.condition("Accepted").message


def test_a_running_job_goes_on_as_if_nothing_was_asked() -> None:
    given = Given().done(*BEFORE_TRAINING).child("train-one").running_pod("train-one")
    seen = given.annotated({RETRY_ANNOTATION: "train-one/1"}).act()
    assert (seen.created, seen.deleted) == ([], [])
    assert "no stage has failed" in seen.condition("Accepted").message


def test_a_complete_job_stays_complete() -> None:
    given = Given().done(*ALL)
    given.decide()
    seen = given.annotated({RETRY_ANNOTATION: "train-one/1"}).act()
    assert seen.status.phase == "Complete" and seen.created == []
    assert "no stage has failed" in seen.condition("Accepted").message
