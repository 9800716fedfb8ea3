"""The list of jobs tells why one doesn't go on, and nothing where all is well."""

from collections.abc import Callable

import pytest

from distillation_api.status import DistillationJobStatus
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.decision.internal_error import decide_on_error, internal_error
from distillation_operator.pipeline.observed import ChildState
from distillation_operator.pipeline.status.job_status import rejected_status
from support.scenario import ALL, BEFORE_GENERATE, BEFORE_TRAINING, START, Given

UNSCHEDULABLE = Cause("Unschedulable", "0/3 nodes")


def new() -> Given:
    return Given()


def starting() -> Given:
    return Given().child("fetch-student").pod("fetch-student")


def running() -> Given:
    return Given().child("fetch-student").running_pod("fetch-student")


def blocked() -> Given:
    return running().child("fetch-teacher").pod("fetch-teacher", pending_cause=UNSCHEDULABLE)


def without_secret() -> Given:
    return running().refused("fetch-teacher", "Forbidden", "no")


def on_a_bad_node() -> Given:
    return Given().child("fetch-student").running_pod("fetch-student", pending_cause=Cause("NodeNotReady", "n"))


def queued() -> Given:
    return Given().done(*BEFORE_GENERATE).child("generate", state=ChildState.HELD)


def suspended() -> Given:
    return Given().done("fetch-student").spec(suspend=True)


def failed() -> Given:
    return blocked().gave_up("fetch-student", "ModelNotFound")


def complete() -> Given:
    return Given().done(*ALL)


def complete_and_suspended() -> Given:
    return complete().spec(suspend=True)


def degenerate() -> Given:
    return Given().done(*ALL[:-1]).child("evaluate").completed("evaluate", metrics={"degenerateAfter": 1.0})


def without_rename() -> Given:
    return Given().child("prepare-dataset").completed("prepare-dataset", settings={"directoryRename": "Refused"})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (new, None),
        (starting, None),
        (running, None),
        (blocked, "Unschedulable"),
        (on_a_bad_node, "NodeNotReady"),
        (queued, "WaitsForQuota"),
        (suspended, "SuspendedByUser"),
        (failed, "ModelNotFound"),
        (complete, None),
        (complete_and_suspended, None),
        (degenerate, "DegenerateAnswers"),
        (without_rename, None),
    ],
)
def test_the_most_urgent_reason_is_the_jobs(given: Callable[[], Given], reason: str | None) -> None:
    assert given().decide().status.reason == reason


def test_what_the_api_server_refuses_is_the_reason() -> None:
    given = Given().refused("fetch-teacher", "QuotaExceeded", "no room")
    given.decide()
    assert given.decide().status.reason == "QuotaExceeded"


def test_the_column_of_stages_has_the_one_that_failed() -> None:
    assert failed().decide().status.current_stage == "fetch-student"
    assert complete().decide().status.current_stage is None


def test_it_goes_with_a_retry() -> None:
    given = failed()
    given.decide()
    seen = given.annotated({"distillation.dev/retry": "fetch-student/1"}).act()
    assert seen.status.reason != "ModelNotFound"


def test_a_refused_job_and_one_that_no_decision_is_possible_on_have_one_too() -> None:
    refused = rejected_status(None, 1, Cause("NotAllowedHere", "no"), START)
    assert (refused.reason, refused.phase) == ("NotAllowedHere", "Pending")
    error = internal_error("OverflowError", "0" * 8)
    given = failed()
    before = given.decide().status
    stuck = decide_on_error({}, 1, before, [], [], error, given.now).status
    assert stuck.reason == "InternalError"
    given.status = stuck
    assert given.decide().status.reason == "ModelNotFound"


def test_a_status_of_an_operator_that_had_no_reasons_is_read() -> None:
    old = {"phase": "Running", "stages": [{"name": "generate", "state": "Running"}], "results": {"report": "r"}}
    status = DistillationJobStatus.model_validate(old)
    assert (status.reason, status.results.cross_entropy_drop if status.results else "") == (None, None)


def test_the_relative_drop_is_among_the_results() -> None:
    scores = {"crossEntropyBefore": 2.0, "crossEntropyAfter": 1.5, "crossEntropyDrop": 0.25}
    given = Given().done(*ALL[:-1]).child("evaluate").completed("evaluate", metrics=scores)
    results = given.decide().status.results
    assert results is not None and results.cross_entropy_drop == "0.25"


def test_nothing_of_a_score_that_is_missing() -> None:
    given = Given().done(*BEFORE_TRAINING).child("train-one").running_pod("train-one")
    assert given.decide().status.results is None
