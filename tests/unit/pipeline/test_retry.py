"""A failed job is taken up again by an annotation, once per nonce."""

from collections.abc import Callable
from typing import Any

import pytest

from distillation_api.status import DistillationJobStatus
from distillation_operator.pipeline.decision.job import is_over
from distillation_operator.pipeline.decision.retry_request import RETRY_ANNOTATION
from distillation_operator.pipeline.status.events import Event, transitions
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


def retried(given: Given, count: int) -> Given:
    """As many requests were honoured, one after the other, and the last attempt has failed too."""
    for number in range(1, count + 1):
        assert given.annotated({RETRY_ANNOTATION: f"train-one/{number}"}).act().created == [f"train-one/{number}"]
        given.crashed("train-one", attempt=number, ago=0).later(60).act()
        assert given.later(60).act().status.phase == "Failed"
    return given


def test_an_old_annotation_that_is_put_back_retries_nothing_again() -> None:
    """As Argo CD does, which keeps what the repository has."""
    given = retried(failed(), 3).annotated({RETRY_ANNOTATION: "train-one/1"})
    seen = given.act()
    assert (seen.created, seen.status.phase, seen.condition("Accepted").reason) == ([], "Failed", "SpecValid")
    assert events_of(given, "train-one/2") == []


def test_a_bounded_number_of_requests_is_kept() -> None:
    status = retried(failed(), 13).decide().status
    assert status.last_retry_request == "train-one/13"
    assert status.earlier_retries == [f"train-one/{number}" for number in range(3, 13)]


def test_what_an_older_operator_has_honoured_stays_honoured() -> None:
    given = failed().annotated({RETRY_ANNOTATION: "train-one/1"})
    assert given.status is not None
    raw = {**given.status.to_json_dict(), "heededRetry": "train-one/1"}
    raw.pop("earlierRetries", None)
    given.status = DistillationJobStatus.model_validate(raw)
    assert given.act().created == []
    assert given.annotated({RETRY_ANNOTATION: "train-one/2"}).act().created == ["train-one/1"]
    given.crashed("train-one", attempt=1, ago=0).later(60).act()
    assert given.annotated({RETRY_ANNOTATION: "train-one/1"}).later(60).act().created == []


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ("train-one", "give STAGE/NONCE, e.g. train-one/1"),
        ("train-one/", "give STAGE/NONCE, e.g. train-one/1"),
        ("evaluat", "give STAGE/NONCE, e.g. train-one/1"),
        ("train-two/1", "names 'train-two'; failed has train-one"),
        ("nonsense/1", "names 'nonsense'; failed has train-one"),
    ],
)
def test_a_retry_of_no_use_is_told_and_changes_nothing(request_: str, told: str) -> None:
    given = failed().annotated({RETRY_ANNOTATION: request_})
    seen = given.act()
    assert seen.created == [] and seen.status.phase == "Failed" and seen.holds("Failed")
    assert told in seen.condition("Accepted").message


def training(**members: Any) -> Given:
    """A job whose first training stage runs."""
    given = Given(**members).done(*BEFORE_TRAINING).child("train-one").running_pod("train-one")
    given.act()
    return given


def test_a_running_job_goes_on_as_if_nothing_was_asked() -> None:
    seen = training().annotated({RETRY_ANNOTATION: "train-one/1"}).act()
    assert (seen.created, seen.deleted) == ([], [])
    accepted = seen.condition("Accepted")
    assert (accepted.status, accepted.reason) == ("True", "RetryWaits")
    assert "no stage has failed" in accepted.message


def test_what_is_asked_before_a_stage_fails_is_honoured_when_it_does() -> None:
    given = training(retries={"failures": 0}).annotated({RETRY_ANNOTATION: "train-one/1"})
    assert given.act().status.last_retry_request is None
    given.crashed("train-one").act()
    assert given.act().created == ["train-one/1"]
    assert given.decide().status.last_retry_request == "train-one/1"


def test_a_refused_request_is_not_used_up_and_is_forgotten_with_its_annotation() -> None:
    given = failed().annotated({RETRY_ANNOTATION: "train-two/1"})
    seen = given.act()
    assert (seen.condition("Accepted").reason, seen.status.last_retry_request) == ("RetryRefused", None)
    seen = given.annotated({}).act()
    assert (seen.condition("Accepted").reason, seen.status.phase) == ("SpecValid", "Failed")


@pytest.mark.parametrize(
    ("given", "stage"),
    [(failed, "train-noe"), (training, "train-noe"), (training, "train-on"), (failed, "trian-one")],
)
def test_a_mistyped_stage_is_answered_with_the_nearest_one(given: Callable[[], Given], stage: str) -> None:
    seen = given().annotated({RETRY_ANNOTATION: f"{stage}/1"}).act()
    accepted = seen.condition("Accepted")
    assert accepted.reason == "RetryRefused" and "Did you mean train-one?" in accepted.message


def events_of(given: Given, request: str) -> list[tuple[str, str]]:
    """The Events that tell of the annotation, whatever else is decided, over three looks."""
    told: list[Event] = []
    for _ in range(3):
        before = given.status
        told += transitions(before, given.annotated({RETRY_ANNOTATION: request}).act().status)
    return [(event.type, event.reason) for event in told if event.reason.startswith("Retry")]


def test_each_answer_to_the_annotation_is_one_event() -> None:
    assert events_of(failed(), "train-one/1") == [("Normal", "RetryHeeded")]
    assert events_of(failed(), "nonsense/1") == [("Warning", "RetryRefused")]
    assert events_of(failed(), "yes") == [("Warning", "RetryRefused")]
    assert events_of(training(), "yes") == [("Warning", "RetryRefused")]
    assert events_of(training(), "train-one/1") == [("Normal", "RetryWaits")]
    assert events_of(training(), "train-two/1") == [("Normal", "RetryWaits")]


def test_another_request_is_answered_again() -> None:
    given = failed()
    assert events_of(given, "yes") + events_of(given, "no") == 2 * [("Warning", "RetryRefused")]


@pytest.mark.parametrize("request_", ["\x1b[2J/1", "<b>/1", "é/1", "/1", "x" * 5000, "x" * 5000 + "/1"])
def test_hostile_requests_are_refused_printably(request_: str) -> None:
    seen = failed().annotated({RETRY_ANNOTATION: request_}).act()
    accepted = seen.condition("Accepted")
    assert accepted.reason == "RetryRefused" and accepted.message.isprintable()


def test_a_complete_job_stays_complete() -> None:
    given = Given().done(*ALL)
    given.decide()
    seen = given.annotated({RETRY_ANNOTATION: "train-one/1"}).act()
    assert seen.status.phase == "Complete" and seen.created == []
    assert "no stage has failed" in seen.condition("Accepted").message
