"""The conditions as a table: which hold, and why, in each phase, and in which order phases can follow each other."""

import pytest

from distillation_api.status import DistillationJobStatus
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.decision.internal_error import decide_on_error, internal_error
from distillation_operator.pipeline.observed import ChildState, FailureClass
from distillation_operator.pipeline.status.events import transitions
from support.scenario import ALL, BEFORE_GENERATE, Given

Row = tuple[str, str, str, str, str]


def table(status: DistillationJobStatus) -> dict[str, tuple[str, str]]:
    return {condition.type: (condition.status, condition.reason) for condition in status.conditions}


def pending() -> Given:
    return Given()


def waiting_for_a_node() -> Given:
    return Given().child("fetch-student").pod("fetch-student", pending_cause=Cause("Unschedulable", "0/3 nodes"))


def running() -> Given:
    return Given().child("fetch-student").running_pod("fetch-student")


def between_stages() -> Given:
    return Given().done("fetch-student")


def suspended() -> Given:
    return Given().done("fetch-student").spec(suspend=True)


def queued() -> Given:
    return Given().done(*BEFORE_GENERATE).child("generate", state=ChildState.HELD, message="no quota")


def failed() -> Given:
    return Given().failed("fetch-student", FailureClass.PERMANENT, message="no model")


def complete() -> Given:
    return Given().done(*ALL)


NO = "False"
YES = "True"
TABLE = {
    # phase: Suspended, Complete, Failed, Reconciling, Stalled; Accepted always holds.
    pending: ("Pending", NO, NO, NO, YES, NO),
    waiting_for_a_node: ("Pending", NO, NO, NO, YES, NO),
    running: ("Running", NO, NO, NO, YES, NO),
    between_stages: ("Running", NO, NO, NO, YES, NO),
    queued: ("Queued", NO, NO, NO, YES, NO),
    suspended: ("Suspended", YES, NO, NO, NO, NO),
    failed: ("Failed", NO, NO, YES, NO, YES),
    complete: ("Complete", NO, YES, NO, NO, NO),
}
REASONS = {
    suspended: ("Suspended", "SuspendedByUser"),
    complete: ("Complete", "StagesFinished"),
    failed: ("Failed", "ChildFailed"),
}


@pytest.mark.parametrize("given", TABLE, ids=lambda given: given.__name__)
def test_each_phase_has_its_conditions(given: object) -> None:
    status = given().decide().status  # type: ignore[operator]
    phase, *expected = TABLE[given]  # type: ignore[index]
    told = table(status)
    assert status.phase == phase
    assert [told[kind][0] for kind in ("Suspended", "Complete", "Failed", "Reconciling", "Stalled")] == expected
    assert told["Accepted"] == (YES, "SpecValid")
    if given in REASONS:
        kind, reason = REASONS[given]
        assert told[kind] == (YES, reason)


@pytest.mark.parametrize("given", TABLE, ids=lambda given: given.__name__)
def test_what_holds_agrees_with_what_does_not(given: object) -> None:
    told = table(given().decide().status)  # type: ignore[operator]
    assert not (told["Complete"][0] == YES and told["Failed"][0] == YES)
    assert (told["Reconciling"][0] == YES) == (told["Complete"][0] == told["Failed"][0] == told["Suspended"][0] == NO)
    assert (told["Stalled"][0] == YES) == (told["Failed"][0] == YES)


@pytest.mark.parametrize("given", TABLE, ids=lambda given: given.__name__)
def test_a_condition_that_tells_of_failure_has_no_other_reason(given: object) -> None:
    told = table(given().decide().status)  # type: ignore[operator]
    for kind in ("Failed", "Stalled"):
        assert (told[kind][1] == "NotFailed") == (told[kind][0] == NO)


def test_a_job_goes_through_the_phases_and_back_from_a_suspension() -> None:
    given = Given()
    phases = [given.decide().status.phase]
    given.child("fetch-student").running_pod("fetch-student")
    phases.append(given.decide().status.phase)
    given.spec(suspend=True)
    phases.append(given.decide().status.phase)
    given.spec(suspend=False)
    phases.append(given.decide().status.phase)
    given.done(*ALL)
    phases.append(given.decide().status.phase)
    given.spec(suspend=True)
    phases.append(given.decide().status.phase)
    assert phases == ["Pending", "Running", "Suspended", "Running", "Complete", "Complete"]


@pytest.mark.parametrize("given", [failed, complete], ids=lambda given: given.__name__)
def test_a_decision_that_fails_after_the_end_leaves_nothing_when_it_succeeds_again(given: object) -> None:
    ended = given()  # type: ignore[operator]
    before = ended.decide().status
    error = internal_error("OverflowError", "0" * 8)
    stuck = decide_on_error({}, 1, before, [], [], error, ended.now).status
    assert table(stuck)["Stalled"] == (YES, "InternalError")
    assert table(stuck)["Reconciling"] == (NO, "InternalError")
    assert table(stuck)["Complete"] == table(before)["Complete"]
    ended.status = stuck
    assert table(ended.decide().status) == table(before)


def test_a_decision_that_fails_is_told_once_in_an_event() -> None:
    given = running()
    before = given.decide().status
    error = internal_error("OverflowError", "0" * 8)
    stuck = decide_on_error({}, 1, before, [], [], error, given.now).status
    assert [(event.type, event.reason) for event in transitions(before, stuck)] == [("Warning", "InternalError")]
    again = decide_on_error({}, 1, stuck, [], [], error, given.now).status
    assert transitions(stuck, again) == []
