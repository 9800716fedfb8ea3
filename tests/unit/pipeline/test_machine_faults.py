"""What programs put down to machines, to other hosts or to what is away costs no failures."""

from datetime import timedelta
from typing import Any

import pytest

from distillation_api import reasons
from distillation_api.contract import StageFailure
from distillation_operator.manifests.reading import read_pod
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.decision.failure_policy import AWAY_PERIOD
from distillation_operator.pipeline.status.events import transitions
from support.scenario import BEFORE_GENERATE, BEFORE_TRAINING, START, Given, Seen

LONGEST_BACK_OFF = 300


def ended(stage: str, reason: str, **facts: Any) -> dict[str, Any]:
    """A pod whose program has given up for that reason, to be tried again."""
    told = StageFailure(stage=stage, reason=reason, message=f"{reason} told", permanent=False)
    return {"failure": told, "exit_text": "exit code 75", "exit_code": 75, **facts}


def gave_up(given: Given, stage: str, reason: str, attempt: int = 0, **facts: Any) -> Given:
    given.failed(stage, attempt=attempt, ago=0)
    return given.ended_pod(stage, attempt, **ended(stage, reason, **facts))


def counts(seen: Seen, stage: str) -> tuple[int, int]:
    attempts = seen.stage(stage).attempts
    return attempts.failures, attempts.disruptions


def training(**members: Any) -> Given:
    return Given(training={"stages": [{"name": "one", "steps": 10, "hosts": 2}]}, **members).done(*BEFORE_TRAINING)


# Machines


@pytest.mark.parametrize("reason", ["AcceleratorBusy", "SliceFailed"])
def test_a_fault_of_the_machine_is_a_disruption_and_waits_a_minute(reason: str) -> None:
    given = gave_up(training(retries={"failures": 0}), "train-one", reason)
    assert given.later(50).decide().stage("train-one").attempt == 0
    seen = given.later(15).decide()
    assert (seen.stage("train-one").attempt, *counts(seen, "train-one")) == (1, 0, 1)
    assert [(failure.failure_class, failure.reason) for failure in seen.status.last_failures] == [
        ("Disruption", reason)
    ]


def test_faults_of_machines_are_bounded_as_disruptions_are() -> None:
    given = gave_up(training(retries={"disruptions": 0}), "train-one", "SliceFailed")
    stage = given.decide().stage("train-one")
    assert (stage.state, stage.reason) == ("Failed", "SliceFailed")


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (ended("train-one", "MaxTextFailed"), "MaxTextFailed"),
        ({"exit_text": "exit code 137 (OOMKilled)", "exit_code": 137}, "PodFailed"),
    ],
)
def test_a_host_that_only_misses_another_one_explains_nothing_where_that_one_crashed(
    other: dict[str, Any], reason: str
) -> None:
    given = gave_up(training(retries={"failures": 0}), "train-one", "PeerLost", index=0, finished=START)
    seen = given.ended_pod("train-one", index=1, finished=START + timedelta(seconds=5), **other).decide()
    assert (seen.stage("train-one").state, seen.stage("train-one").reason) == ("Failed", reason)
    assert counts(seen, "train-one") == (1, 0)


NODE_LOST: dict[str, Any] = {
    "running": True,
    "terminating": True,
    "pending_cause": Cause.of(reasons.NODE_NOT_READY, "node-1 doesn't answer"),
}


@pytest.mark.parametrize(
    ("seconds", "other", "expected"),
    [
        (60, None, (1, 0)),
        (60, {"running": True, "terminating": True}, (1, 0)),
        (60, {"exit_text": "exit code 143", "exit_code": 143, "ended": True, "terminating": True}, (1, 0)),
        (60, NODE_LOST, (0, 1)),
        (3600, None, (0, 1)),
    ],
    ids=["gone", "ends", "ended by its Job", "its node is lost", "after an hour"],
)
def test_a_host_that_is_missed_and_tells_nothing_is_a_failure_where_no_machine_is_to_blame(
    seconds: float, other: dict[str, Any] | None, expected: tuple[int, int]
) -> None:
    """One that crashes again and again is removed before it tells, and was tried as often as machines may be lost."""
    given = training(retries={"failures": 1})
    begun, given = given.now, given.later(seconds)
    gave_up(given, "train-one", "PeerLost", index=0, started=begun, finished=given.now)
    if other is not None:
        given.pod("train-one", index=1, **other)
    assert given.later(50).decide().stage("train-one").attempt == 0
    seen = given.later(15).decide()
    assert (seen.stage("train-one").attempt, *counts(seen, "train-one")) == (1, *expected)
    assert seen.status.last_failures[0].reason == "PeerLost"


def test_a_lost_peer_fails_no_job_before_its_node_can_be_known_to_be_lost() -> None:
    given = gave_up(training(retries={"failures": 0}), "train-one", "PeerLost", index=0)
    stage = given.decide().stage("train-one")
    assert (stage.state, stage.reason) == ("Pending", "PeerLost")
    given.pod("train-one", index=1, **NODE_LOST)
    seen = given.later(65).decide()
    assert (seen.stage("train-one").state, *counts(seen, "train-one")) == ("Pending", 0, 1)


def test_a_host_that_its_job_deletes_on_a_lost_node_costs_a_disruption() -> None:
    """As Kubernetes shows it: the node controller has taken Ready back, and nothing evicts the pod."""
    raw = {
        "metadata": {"name": "p", "deletionTimestamp": "2026-11-25T12:00:00Z"},
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [{"name": "stage", "state": {"running": {}}}],
        },
    }
    read = read_pod(raw)
    given = gave_up(training(retries={"failures": 0}), "train-one", "PeerLost", index=0)
    given.running_pod("train-one", index=1, terminating=read.terminating, pending_cause=read.pending_cause)
    seen = given.later(65).decide()
    assert (seen.stage("train-one").state, *counts(seen, "train-one")) == ("Pending", 0, 1)


def test_hosts_that_always_miss_another_one_early_fail_the_job_by_its_failures() -> None:
    given = training(retries={"failures": 2})
    for attempt in range(3):
        gave_up(given, "train-one", "PeerLost", attempt, index=0)
        given.decide()
        seen = given.later(LONGEST_BACK_OFF).decide()
    assert (seen.stage("train-one").state, *counts(seen, "train-one")) == ("Failed", 3, 0)


def test_hosts_that_all_miss_one_that_was_told_to_end_are_one_disruption() -> None:
    given = gave_up(training(retries={"failures": 0}), "train-one", "PeerLost", index=0)
    given.ended_pod("train-one", index=1, exit_text="exit code 143", exit_code=143)
    seen = given.later(LONGEST_BACK_OFF).decide()
    assert counts(seen, "train-one") == (0, 1)


REFUSED = "UnexpectedAdmissionError: Pod was rejected: Allocate failed due to no healthy devices present"


def test_a_pod_that_its_node_does_not_admit_is_a_disruption() -> None:
    given = training(retries={"failures": 0}).failed("train-one", ago=0)
    given.ended_pod("train-one", refused_by_node=REFUSED, exit_text="Pod was rejected")
    seen = given.later(65).decide()
    assert (seen.stage("train-one").reason, *counts(seen, "train-one")) == ("NodeRefusesPod", 0, 1)
    assert REFUSED in (seen.status.last_failures[0].message or "")


def test_a_pod_that_asks_for_a_part_of_a_vms_chips_is_refused_for_good() -> None:
    given = training().failed("train-one", ago=0)
    words = (
        "UnexpectedAdmissionError: invalid TPU chip count request, you must request all 4 chips on this node together"
    )
    given.ended_pod("train-one", refused_by_node=words, exit_text="Pod was rejected")
    stage = given.decide().stage("train-one")
    assert (stage.state, stage.reason) == ("Failed", "ChipsRefused")
    assert "all 4 chips" in (stage.message or "")


# What is away


@pytest.mark.parametrize("reason", ["HubUnavailable", "BucketUnavailable", "StorageFailed"])
def test_what_is_away_is_waited_for_an_hour_before_it_counts(reason: str) -> None:
    given = Given(retries={"failures": 0})
    attempt = 0
    starts = []
    while given.now - START < AWAY_PERIOD:
        seen = gave_up(given, "fetch-student", reason, attempt).decide()
        stage = seen.stage("fetch-student")
        assert (stage.state, stage.reason, *counts(seen, "fetch-student")) == ("Pending", reason, 0, 0)
        wait = seen.decision.requeue_after
        assert wait is not None and timedelta(minutes=1) <= wait <= timedelta(minutes=5)
        seen = given.later(wait.total_seconds()).decide()
        assert seen.stage("fetch-student").attempt == attempt + 1
        assert seen.status.last_failures == []
        attempt += 1
        starts.append((given.now - START).total_seconds() / 60)
    assert starts[:5] == [1, 2, 4, 8, 13] and len(starts) < 20
    seen = gave_up(given, "fetch-student", reason, attempt).decide()
    assert (seen.stage("fetch-student").state, seen.stage("fetch-student").reason) == ("Failed", reason)
    assert counts(seen, "fetch-student") == (1, 0)


def test_after_the_hour_the_failures_that_are_allowed_come_in_minutes_too() -> None:
    given = Given(retries={"failures": 1})
    gave_up(given, "fetch-student", "HubUnavailable").decide()
    given.later(60).decide()
    seen = gave_up(given.later(3600), "fetch-student", "HubUnavailable", 1).decide()
    assert seen.stage("fetch-student").state == "Pending"
    assert seen.decision.requeue_after == timedelta(minutes=5)
    assert counts(given.later(300).decide(), "fetch-student") == (1, 0)


def test_that_something_is_away_is_told_in_an_event() -> None:
    given = Given()
    before = given.child("fetch-student").decide()
    seen = gave_up(given, "fetch-student", "HubUnavailable").decide()
    told = [event for event in transitions(before.status, seen.status) if event.reason == "HubUnavailable"]
    assert [event.message for event in told] == ["fetch-student: Tried again soon: HubUnavailable told"]


def test_what_fails_whenever_it_has_worked_is_not_tried_for_ever() -> None:
    """As a checkpoint that can never be saved: each attempt costs an hour of chips."""
    given = Given(retries={"failures": 0, "disruptions": 2})
    for attempt in range(3):
        begun, given = given.now, given.later(7200)
        gave_up(given, "fetch-student", "StorageFailed", attempt, started=begun, finished=given.now)
        given.later(LONGEST_BACK_OFF)
        seen = given.decide()
        assert counts(seen, "fetch-student") == (0, attempt + 1)
    assert seen.stage("fetch-student").state == "Failed"


def test_an_attempt_that_worked_begins_another_hour() -> None:
    given = Given(retries={"failures": 0})
    gave_up(given, "fetch-student", "HubUnavailable").decide()
    given.later(60).decide()
    begun, given = given.now, given.later(7200)
    gave_up(given, "fetch-student", "HubUnavailable", 1, started=begun, finished=given.now)
    assert given.decide().stage("fetch-student").state == "Pending"


def test_another_failure_in_between_counts_and_begins_another_hour() -> None:
    given = Given(retries={"failures": 1})
    gave_up(given, "fetch-student", "HubUnavailable").decide()
    given.later(60).decide()
    given.crashed("fetch-student", 1, ago=0).later(LONGEST_BACK_OFF)
    assert counts(given.decide(), "fetch-student") == (1, 0)
    seen = gave_up(given.later(7200), "fetch-student", "HubUnavailable", 2).decide()
    assert (seen.stage("fetch-student").state, *counts(seen, "fetch-student")) == ("Pending", 1, 0)


def test_nothing_of_it_is_left_when_the_stage_is_complete() -> None:
    given = Given()
    gave_up(given, "fetch-student", "HubUnavailable").decide()
    assert given.later(60).decide().stage("fetch-student").away_since is not None
    stage = given.completed("fetch-student", 1).decide().stage("fetch-student")
    assert (stage.state, stage.away_since) == ("Complete", None)


def test_a_generation_whose_shards_found_the_storage_away_is_started_again() -> None:
    given = Given(generation={"shards": 2}, retries={"failures": 0}).done(*BEFORE_GENERATE)
    gave_up(given, "generate", "StorageFailed", index=0)
    assert given.decide().stage("generate").state == "Pending"
    assert given.later(60).decide().stage("generate").attempt == 1


def test_what_a_shard_met_before_its_last_try_explains_no_crash() -> None:
    """Else its Job would be made again, with as many tries of the shard that always crashes."""
    given = Given(generation={"shards": 2}, retries={"failures": 0}).done(*BEFORE_GENERATE)
    given.failed("generate", ago=0)
    given.ended_pod("generate", index=0, **ended("generate", "WaitsForOtherJob"), index_failures=1)
    given.ended_pod("generate", index=0, succeeded=True, name="again")
    given.ended_pod("generate", index=1, **ended("generate", "ProgramCrashed"), index_failures=1)
    stage = given.decide().stage("generate")
    assert (stage.state, stage.reason) == ("Failed", "ProgramCrashed")
