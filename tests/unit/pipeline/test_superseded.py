"""Attempts that cost nothing are made without bound; what they leave is not."""

from datetime import timedelta

from distillation_api.contract import StageFailure
from distillation_operator.pipeline.decision.superseded import KEPT_CHILDREN
from support.scenario import Given

STAGE = "fetch-student"


def outage(given: Given, attempts: int) -> list[str]:
    """The children that are deleted while the Hub is away for so many attempts."""
    deleted: list[str] = []
    for attempt in range(attempts):
        told = StageFailure(stage=STAGE, reason="HubUnavailable", message="told", permanent=False)
        given.failed(STAGE, attempt=attempt, ago=0)
        given.ended_pod(STAGE, attempt, failure=told, exit_code=75, exit_text="exit code 75")
        for _ in range(2):
            seen = given.decide()
            deleted += seen.deleted
            for name in seen.deleted:
                given.gone(STAGE, int(name.rpartition("-")[2]))
            given.later((seen.decision.requeue_after or timedelta(0)).total_seconds())
    return deleted


def test_of_many_attempts_the_last_few_stay() -> None:
    given = Given()
    deleted = outage(given, 9)
    assert deleted == [given.name_of(STAGE, attempt) for attempt in range(len(deleted))]
    assert len(given.children) == KEPT_CHILDREN + 1
    seen = given.decide()
    assert seen.stage(STAGE).attempt == 9
    assert len(given.children) - len(seen.deleted) == KEPT_CHILDREN


def test_a_child_with_a_pod_that_lives_stays() -> None:
    given = Given()
    given.pod(STAGE, attempt=0, index=7, running=True, terminating=True)
    assert given.name_of(STAGE, 0) not in outage(given, 9)


def test_nothing_goes_before_the_status_tells_of_it() -> None:
    """What a child has cost is counted from it, and a status that was lost is written anew from the newest."""
    given = Given()
    for attempt in range(9):
        given.crashed(STAGE, attempt)
    assert given.decide().deleted == []
