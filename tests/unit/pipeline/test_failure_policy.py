"""What failures and disruptions count, whoever tries again, and what ends a stage."""

from typing import Any

import pytest

from distillation_api.contract import StageFailure
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.decision.retry_request import RETRY_ANNOTATION
from distillation_operator.pipeline.observed import ChildState, FailureClass
from distillation_operator.pipeline.status.events import transitions
from support.scenario import BEFORE_GENERATE, BEFORE_TRAINING, START, Given, Seen

LONGEST_BACK_OFF = 300


def generating(**members: Any) -> Given:
    """A job whose generation runs."""
    members = {"generation": {"shards": 2}, **members}
    return Given(**members).done(*BEFORE_GENERATE).child("generate")


def counts(seen: Seen, stage: str = "generate") -> tuple[int, int]:
    """Failures and disruptions, as the status shows them."""
    attempts = seen.stage(stage).attempts
    return attempts.failures, attempts.disruptions


# Attempts of one pod.


def test_an_evicted_pod_is_one_disruption_and_the_stage_is_tried_again() -> None:
    given = Given(retries={"failures": 0}).evicted("fetch-teacher", ago=0)
    seen = given.decide()
    assert seen.stage("fetch-teacher").reason == "PodDisrupted"
    seen = given.later(5).decide()
    assert counts(seen, "fetch-teacher") == (0, 1)
    assert given.decide().created[0] == "fetch-teacher/1"
    [failure] = seen.status.last_failures
    assert (failure.failure_class, failure.reason) == ("Disruption", "PodDisrupted")
    assert failure.message is not None and "EvictionByEvictionAPI" in failure.message


def test_an_evicted_pod_that_is_gone_with_its_node_counts_too() -> None:
    given = Given(retries={"failures": 0}).evicted("fetch-teacher").no_pods()
    seen = given.decide()
    assert counts(seen, "fetch-teacher") == (0, 1)
    assert "DisruptionTarget" in (seen.stage("fetch-teacher").message or "")


EVICTED = "pod p was evicted from node-1: EvictionByEvictionAPI: Eviction API: evicting"
DELETED = "pod p was deleted"
GONE = "the pod of job-fetch-teacher"


def going(given: Given, reason: str, words: str, stage: str = "fetch-teacher") -> Given:
    """Its pod is seen to go; then it is gone, and its child has failed."""
    given.child(stage).running_pod(stage, terminating=True, pending_cause=Cause(reason, words))
    assert given.decide().stage(stage).reason == reason
    return given.no_pods()


def test_an_eviction_is_told_in_the_pods_own_words_also_when_it_is_gone() -> None:
    given = going(Given(), "PodDisrupted", EVICTED)
    given.failed("fetch-teacher", FailureClass.DISRUPTION, ago=0, message="jobset failed due to max restarts")
    for _ in range(2):
        stage = given.decide().stage("fetch-teacher")
        assert (stage.state, stage.reason, stage.message) == ("Pending", "PodDisrupted", f"Tried again soon: {EVICTED}")
    seen = given.later(60).decide()
    assert (counts(seen, "fetch-teacher"), seen.status.last_failures[0].message) == ((0, 1), EVICTED)


def test_a_deleted_pod_is_told_as_that_and_by_its_name_where_it_was_seen() -> None:
    given = going(Given(), "PodDeleted", DELETED)
    given.failed("fetch-teacher", ago=0, message="jobset failed due to max restarts", lost_pod=True)
    for _ in range(2):
        stage = given.decide().stage("fetch-teacher")
        assert (stage.reason, stage.message) == ("PodDeleted", f"Tried again soon: {DELETED}")
    seen = given.later(60).decide()
    failure = seen.status.last_failures[0]
    assert (failure.failure_class, failure.reason, failure.message) == ("Crash", "PodDeleted", DELETED)
    assert counts(seen, "fetch-teacher") == (1, 0)


LIMIT = "Job has reached the specified backoff limit"


@pytest.mark.parametrize("between", [False, True], ids=["at once", "after a look between"])
def test_a_pod_that_ran_and_is_gone_was_deleted(between: bool) -> None:
    given = Given().child("fetch-teacher").running_pod("fetch-teacher")
    assert given.decide().stage("fetch-teacher").state == "Running"
    given.no_pods()
    if between:
        assert given.decide().stage("fetch-teacher").state == "Pending"
    given.failed("fetch-teacher", ago=0, message=LIMIT, lost_pod=True)
    for _ in range(2):
        stage = given.decide().stage("fetch-teacher")
        assert (stage.reason, stage.message) == ("PodDeleted", f"Tried again soon: {GONE}-0 was deleted")


def test_the_words_of_a_pod_that_was_seen_to_go_stay_until_its_child_has_failed() -> None:
    given = going(Given(), "PodDeleted", DELETED)
    assert given.decide().stage("fetch-teacher").message == DELETED
    given.failed("fetch-teacher", ago=0, message=LIMIT, lost_pod=True)
    assert given.decide().stage("fetch-teacher").message == f"Tried again soon: {DELETED}"


def test_a_pod_that_nobody_saw_may_have_been_collected_after_its_end() -> None:
    """As after a time without the operator: PodGC has removed what had ended."""
    given = Given().failed("fetch-teacher", ago=0, message=LIMIT, lost_pod=True)
    for _ in range(2):
        stage = given.decide().stage("fetch-teacher")
        assert (stage.reason, stage.message) == (
            "ChildFailed", f"Tried again soon: {LIMIT}: no pod told why, or it was removed after it",
        )  # fmt: skip


@pytest.mark.parametrize("exit_code", [None, 137, 143])
def test_a_deleted_pod_that_still_shows_is_no_crash(exit_code: int | None) -> None:
    given = Given().failed("fetch-teacher", ago=0, lost_pod=True)
    given.ended_pod("fetch-teacher", terminating=True, exit_code=exit_code, exit_text="exit", departure=DELETED)
    stage = given.decide().stage("fetch-teacher")
    assert (stage.reason, stage.message) == ("PodDeleted", f"Tried again soon: {DELETED}")


def test_pods_that_their_own_job_deletes_do_not_hide_the_one_that_crashed() -> None:
    given = Given().done(*BEFORE_TRAINING).child("train-one")
    given.ended_pod("train-one", index=0, exit_code=1, exit_text="exit code 1", finished=START)
    going_too = Cause("PodDeleted", "pod 1 was deleted")
    given.running_pod("train-one", index=1, terminating=True, departure=going_too.message, pending_cause=going_too)
    assert given.decide().stage("train-one").reason != "PodDeleted"
    given.failed("train-one", ago=0, lost_pod=True)
    given.ended_pod("train-one", index=1, terminating=True, exit_code=143, exit_text="exit code 143", finished=START)
    assert given.decide().stage("train-one").reason == "PodFailed"


@pytest.mark.parametrize("reason", ["PeerLost", "Interrupted"])
def test_a_deleted_host_explains_the_end_of_those_that_miss_it(reason: str) -> None:
    given = Given().done(*BEFORE_TRAINING).child("train-one").running_pod("train-one", index=1)
    given.running_pod("train-one", index=0, terminating=True, pending_cause=Cause("PodDeleted", DELETED))
    assert given.decide().stage("train-one").reason == "PodDeleted"
    verdict = StageFailure(stage="train-one", reason=reason, message="a host is gone", permanent=False)
    given.no_pods().failed("train-one", ago=0, lost_pod=True)
    given.ended_pod("train-one", index=1, failure=verdict, exit_code=75, exit_text="exit code 75", finished=START)
    assert given.decide().stage("train-one").message == f"Tried again soon: {DELETED}"


def test_what_an_earlier_attempt_met_explains_no_later_one() -> None:
    given = going(Given(), "PodDeleted", DELETED).failed("fetch-teacher", ago=60, lost_pod=True)
    seen = given.decide()
    assert seen.stage("fetch-teacher").message == f"Tried again: {DELETED}"
    given.failed("fetch-teacher", attempt=1, ago=0, lost_pod=True)
    assert given.decide().stage("fetch-teacher").reason == "ChildFailed"


def test_a_child_that_failed_for_something_else_than_a_pod_is_told_in_its_own_words() -> None:
    given = Given().failed("fetch-teacher", ago=0, message="Job was active longer than specified deadline")
    stage = given.decide().stage("fetch-teacher")
    assert (stage.reason, stage.message) == (
        "ChildFailed", "Tried again soon: Job was active longer than specified deadline",
    )  # fmt: skip


def test_more_disruptions_than_allowed_end_the_stage() -> None:
    given = Given(retries={"disruptions": 1}).evicted("fetch-teacher")
    given.decide()
    seen = given.evicted("fetch-teacher", attempt=1).later(LONGEST_BACK_OFF).decide()
    stage = seen.stage("fetch-teacher")
    assert (stage.state, stage.reason, seen.status.phase) == ("Failed", "PodDisrupted", "Failed")
    assert counts(seen, "fetch-teacher") == (0, 2)


def test_a_clock_that_is_far_behind_holds_no_attempt_up() -> None:
    """The end is by another clock: an operator an hour behind would wait for an hour."""
    given = Given().crashed("fetch-teacher", ago=-3600)
    given.decide()
    assert given.decide().created[0] == "fetch-teacher/1"


# Shards, which their Job tries again.


def test_a_shard_that_crashed_shows_while_its_stage_runs() -> None:
    given = generating().shard(0).shard(1)
    before = given.decide()
    seen = given.shard(1, failures=1).decide()
    assert (seen.stage("generate").state, seen.stage("generate").attempt) == ("Running", 0)
    assert counts(seen) == (1, 0)
    told = [event for event in transitions(before.status, seen.status) if event.reason == "StageRetried"]
    assert [event.message for event in told] == [
        "generate, attempt 0: shards failed 1 times and were disrupted 0 times"
    ]


def test_of_each_index_the_pod_that_counts_most_counts() -> None:
    given = generating().shard(0, failures=2, disruptions=1).shard(1, failures=1)
    given.ended_pod("generate", index=0, name="before", exit_text="exit code 1", index_failures=2)
    given.ended_pod("generate", index=0, name="evicted", disrupted=True, index_failures=1, index_disruptions=1)
    assert counts(given.decide()) == (3, 1)


def test_what_was_counted_does_not_fall_when_pods_are_removed() -> None:
    given = generating().shard(0, failures=1).shard(1, disruptions=2)
    assert counts(given.decide()) == (1, 2)
    assert counts(given.no_pods().decide()) == (1, 2)
    assert counts(given.shard(0).shard(1).decide()) == (1, 2)
    seen = given.shard(0, failures=2).decide()
    assert counts(seen) == (2, 2)
    assert given.glance().status == seen.status, "counted once, however often it is looked at"


def test_what_is_counted_at_the_end_of_a_stage_stays() -> None:
    given = generating().shard(0).shard(1)
    given.decide()
    given.ended_pod("generate", index=0, name="crashed", exit_text="exit code 1", index_failures=1)
    seen = given.completed("generate").decide()
    assert seen.stage("generate").state == "Complete"
    assert counts(seen) == (1, 0)


def test_the_next_attempt_adds_to_what_was_counted() -> None:
    given = generating().shard(0, failures=1, disruptions=1)
    given.decide()
    given.spec(suspend=True).act()
    given.gone("generate").no_pods().spec(suspend=False).act()
    seen = given.shard(0, disruptions=1, attempt=1).decide()
    assert (seen.stage("generate").attempt, *counts(seen)) == (1, 1, 2)


def test_a_job_made_anew_under_the_same_name_begins_at_zero() -> None:
    given = generating().shard(0, failures=1)
    given.decide()
    # Deleted by hand: the pod that had failed is still there when the new Job's first pod comes.
    given.ended_pod("generate", index=0, exit_text="exit code 1", index_failures=1)
    given.gone("generate").act()
    assert counts(given.decide()) == (1, 0)
    assert counts(given.shard(1, failures=1).decide()) == (2, 0)


def test_pods_of_a_job_that_is_deleted_or_held_are_not_counted_as_failures() -> None:
    given = generating().shard(0).terminating("generate")
    assert counts(given.ended_pod("generate", exit_text="exit code 143", index_failures=1).decide()) == (0, 0)
    given = generating().child("generate", ChildState.HELD)
    assert counts(given.ended_pod("generate", exit_text="exit code 143", index_failures=1).decide()) == (0, 0)


def test_shards_taken_away_more_often_than_allowed_end_the_stage_and_its_job_is_deleted() -> None:
    given = generating(retries={"disruptions": 2}).shard(0, disruptions=1).shard(1, disruptions=1)
    assert given.decide().stage("generate").state == "Running"
    given.ended_pod(
        "generate", index=0, disrupted=True, exit_text="PreemptionByScheduler: for a pod of higher priority",
        index_disruptions=2,
    )  # fmt: skip
    seen = given.decide()
    stage = seen.stage("generate")
    assert (stage.state, stage.reason, seen.status.phase) == ("Failed", "PodDisrupted", "Failed")
    assert stage.message is not None
    assert "PreemptionByScheduler" in stage.message and "retries.disruptions is 2" in stage.message
    assert counts(seen) == (0, 3)
    assert seen.deleted == ["job-generate-0"]
    assert [failure.failure_class for failure in seen.status.last_failures] == ["Disruption"]


def test_a_generation_that_is_complete_is_complete_however_often_it_was_disrupted() -> None:
    given = generating(retries={"disruptions": 0}).completed("generate")
    given.ended_pod("generate", name="evicted", disrupted=True, exit_text="exit code 143", index_disruptions=1)
    seen = given.decide()
    assert (seen.stage("generate").state, *counts(seen)) == ("Complete", 0, 1)


def test_a_shard_that_has_used_up_its_retries_ends_the_stage_with_what_was_counted() -> None:
    given = generating(retries={"failures": 1}).shard(0, failures=1)
    given.decide()
    given.failed("generate").ended_pod("generate", exit_text="exit code 139", index_failures=2)
    given.ended_pod("generate", index=1, name="evicted", disrupted=True, exit_text="exit code 143", index_disruptions=1)
    seen = given.decide()
    stage = seen.stage("generate")
    assert (stage.state, *counts(seen)) == ("Failed", 2, 1)
    assert stage.message is not None and "exit code 139" in stage.message, "the eviction explains no crash"


def test_a_shard_that_has_used_up_its_retries_is_at_least_one_failure() -> None:
    assert counts(generating().failed("generate").decide()) == (1, 0)


@pytest.mark.parametrize("shards", [0, 1, 2])
def test_a_lost_result_is_tried_again_while_the_stage_has_failures_left(shards: int) -> None:
    given = generating(retries={"failures": 1}).shard(0, failures=shards)
    given.decide()
    stage = given.no_pods().completed_unread("generate").decide().stage("generate")
    assert stage.reason == "ResultLost"
    assert (stage.state, stage.attempts.failures) == ("Pending" if shards == 0 else "Failed", shards + 1)


def test_a_users_retry_counts_shards_anew() -> None:
    given = generating(retries={"disruptions": 0}).shard(0, failures=1, disruptions=1)
    assert given.act().status.phase == "Failed"
    given.gone("generate").no_pods()
    seen = given.annotated({RETRY_ANNOTATION: "generate/1"}).act()
    assert (seen.created, counts(seen)) == (["generate/1"], (0, 0))
    assert counts(given.shard(0, failures=1, attempt=1).decide()) == (1, 0)


def test_a_verdict_of_one_shard_is_final_whatever_the_others_counted() -> None:
    given = generating().shard(1, failures=1)
    given.decide()
    seen = given.gave_up("generate", "PromptTooLong").decide()
    assert (seen.stage("generate").state, seen.stage("generate").reason) == ("Failed", "PromptTooLong")
    assert counts(seen) == (1, 0)
    assert [failure.failure_class for failure in seen.status.last_failures] == [FailureClass.PERMANENT.value]
