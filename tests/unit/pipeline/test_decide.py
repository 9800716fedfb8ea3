"""What is decided in each situation: which children are made and removed, and what the status shows."""

import json
from dataclasses import replace
from typing import Any

import pytest

from distillation_api.contract import StageFailure
from distillation_api.status import DistillationJobStatus
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.observed import FailureClass
from distillation_operator.pipeline.status.events import transitions
from distillation_operator.pipeline.status.times import parse_time
from support.scenario import ALL, BEFORE_GENERATE, BEFORE_TRAINING, SOURCES, START, Given

CRASH, DISRUPTION = FailureClass.CRASH, FailureClass.DISRUPTION
LONGEST_BACK_OFF = 300
DAY = 86_400


def generating(**members: Any) -> Given:
    """A job at the stage ``generate``."""
    return Given(**members).done(*BEFORE_GENERATE)


def training(**members: Any) -> Given:
    """A job at its first training stage, whose attempts are the operator's to count."""
    return Given(**members).done(*BEFORE_TRAINING)


# Order.


def test_a_new_job_starts_with_the_stages_that_need_nothing() -> None:
    seen = Given().decide()
    assert seen.created == ["fetch-teacher/0", "fetch-student/0", "prepare-dataset/0"]
    assert seen.states("fetch-teacher", "generate") == ["Pending", "Waiting"]
    assert seen.stage("generate").message == "Waits for fetch-teacher, prepare-dataset, preflight."


def test_cheap_stages_run_side_by_side_with_generation() -> None:
    assert Given().done(*SOURCES).decide().created == ["convert-student/0", "preflight/0"]
    created = Given().done(*SOURCES, "preflight").decide().created
    assert created == ["convert-student/0", "generate/0", "pack-two/0"]


def test_nothing_starts_before_all_its_inputs() -> None:
    assert "generate/0" not in Given().done("fetch-teacher", "fetch-student").decide().created
    assert Given().done(*BEFORE_GENERATE).child("generate").decide().created == []


def test_each_stage_follows_the_one_before_to_the_end() -> None:
    given = Given()
    order: list[str] = []
    for _ in range(len(ALL) + 1):
        created = [creation.stage.name for creation in given.act().decision.create]
        order += created
        for stage in created:
            given.completed(stage)
    assert order.index("generate") < order.index("pack-one") < order.index("train-one") < order.index("train-two")
    assert sorted(order) == sorted(ALL)
    assert given.decide().status.phase == "Complete"


def test_a_complete_stage_is_told_with_what_it_made() -> None:
    given = generating(generation={"shards": 2})
    seen = given.completed("generate", counts={"rows": 5}, outputs={"completions": "a/b"}).decide()
    stage = seen.stage("generate")
    assert (stage.state, stage.reason, stage.message) == ("Complete", None, None)
    assert stage.counts == {"rows": 10}  # of both shards
    assert stage.outputs == {"completions": "a/b"}
    assert stage.completion_time == "2026-11-25T11:59:00Z"
    assert seen.created == ["pack-one/0"]


def test_a_stage_found_done_in_the_storage_is_told_so() -> None:
    assert Given().completed("fetch-teacher", reused=True).decide().stage("fetch-teacher").reused
    assert not Given().completed("fetch-teacher").decide().stage("fetch-teacher").reused


def test_a_child_that_is_gone_after_its_stage_was_complete_is_not_made_anew() -> None:
    """Case 19."""
    given = generating().completed("generate")
    given.decide()
    seen = given.gone("generate").no_pods().decide()
    assert "generate/0" not in seen.created
    assert seen.stage("generate").state == "Complete"


def test_a_lost_status_is_rebuilt_from_the_children_that_are_there() -> None:
    seen = (
        Given().completed("fetch-teacher").crashed("fetch-student", attempt=3, ago=1).child("prepare-dataset").decide()
    )
    assert seen.created == []
    assert seen.stage("fetch-teacher").state == "Complete"
    assert seen.stage("fetch-student").attempt == 3


def test_a_job_that_is_being_deleted_is_left_alone() -> None:
    given = Given()
    given.deletion_timestamp = "2026-11-25T12:00:00Z"
    seen = given.child("fetch-teacher").decide()
    assert (seen.created, seen.deleted) == ([], [])


# Running.


def test_what_the_pods_do_is_told() -> None:
    given = Given().child("fetch-teacher")
    assert given.decide().stage("fetch-teacher").state == "Pending"
    assert given.pod("fetch-teacher").decide().stage("fetch-teacher").reason == "PodsStarting"
    assert given.running_pod("fetch-teacher").decide().stage("fetch-teacher").state == "Running"
    assert given.decide().decision.requeue_after is None  # whoever reads progress asks for the next decision


def test_a_problem_of_a_pod_is_told_and_goes_away_again() -> None:
    given = Given().child("fetch-teacher")
    given.pod("fetch-teacher", pending_cause=Cause("ImagePullBackOff", 'Back-off pulling image "x"'))
    stage = given.decide().stage("fetch-teacher")
    assert (stage.state, stage.reason, stage.message) == (
        "Pending",
        "ImagePullBackOff",
        'Back-off pulling image "x"',
    )
    stage = given.running_pod("fetch-teacher").decide().stage("fetch-teacher")
    assert (stage.state, stage.reason, stage.message) == ("Running", None, None)


def test_a_problem_of_one_shard_is_told_while_the_others_run() -> None:
    given = generating(generation={"shards": 2}).child("generate").running_pod("generate", index=0)
    stage = given.pod("generate", index=1, pending_cause=Cause("Unschedulable", "0/3 nodes")).decide().stage("generate")
    assert (stage.state, stage.reason) == ("Running", "Unschedulable")


def test_a_problem_stands_in_the_condition_that_tools_wait_on() -> None:
    given = Given().child("fetch-teacher")
    given.pod("fetch-teacher", pending_cause=Cause("Unschedulable", "0/3 nodes are available"))
    assert given.decide().condition("Reconciling").message == "fetch-teacher: 0/3 nodes are available"


def test_a_program_that_ended_before_its_sidecar_is_not_pending() -> None:
    """Case 51."""
    given = Given().child("fetch-teacher")
    given.ended_pod("fetch-teacher", succeeded=True, result=given.result("fetch-teacher"))
    assert given.decide().stage("fetch-teacher").state == "Running"


def test_progress_of_shards_is_added_up() -> None:
    given = generating(generation={"shards": 2}).child("generate")
    given.running_pod("generate", index=0).running_pod("generate", index=1)
    given.says("generate", 10, 50, index=0, unit="rows", rate=1.5).says(
        "generate", 30, 50, index=1, unit="rows", rate=1
    )
    seen = given.decide()
    progress = seen.stage("generate").progress
    assert progress is not None
    assert (progress.done, progress.total, progress.unit, progress.rate) == (40, 100, "rows", "2.5")
    assert seen.status.progress == "40%"


def test_progress_of_a_slice_is_that_of_its_furthest_host() -> None:
    given = Given(training={"stages": [{"name": "one", "steps": 10, "hosts": 2}]}).done(*BEFORE_TRAINING)
    given.child("train-one").running_pod("train-one", index=0).running_pod("train-one", index=1)
    given.says("train-one", 4, 10, index=0, metrics={"loss": 1.25}).says("train-one", 3, 10, index=1)
    seen = given.decide()
    progress = seen.stage("train-one").progress
    assert progress is not None
    assert (progress.done, progress.total) == (4, 10)
    assert (seen.status.progress, seen.status.loss) == ("40%", "1.25")


def test_the_loss_stays_when_the_next_stage_has_none_yet() -> None:
    given = Given().done(*BEFORE_TRAINING).completed("train-one", metrics={"loss": 1.5})
    given.decide()
    given.child("train-two").running_pod("train-two")
    assert given.decide().status.loss == "1.5"


@pytest.mark.parametrize(("done", "total", "percent"), [(-5, 10, "0%"), (12, 10, "100%"), (0, 0, None), (3, -1, None)])
def test_a_progress_line_that_makes_no_sense_does_no_harm(done: int, total: int, percent: str | None) -> None:
    given = Given().child("fetch-teacher").running_pod("fetch-teacher").says("fetch-teacher", done, total)
    assert given.decide().status.progress == percent


def test_the_end_of_a_stage_and_of_the_job_is_told_by_the_rate() -> None:
    given = training().child("train-one").running_pod("train-one").says("train-one", 4, 10, rate=0.01)
    seen = given.decide()
    assert seen.stage("train-one").estimated_completion_time == "2026-11-25T12:11:00Z"
    # The second training stage, of 10 steps too, is taken to be as quick.
    assert seen.status.estimated_completion_time == "2026-11-25T12:27:00Z"


def test_no_end_is_told_before_it_can_be_known() -> None:
    given = generating().child("generate").running_pod("generate").says("generate", 5, 10, rate=1.0, unit="rows")
    seen = given.decide()
    assert seen.stage("generate").estimated_completion_time == "2026-11-25T12:01:00Z"
    assert seen.status.estimated_completion_time is None


def test_what_has_ended_has_no_estimate() -> None:
    given = training().child("train-one").running_pod("train-one").says("train-one", 4, 10, rate=0.01)
    given.decide()
    given.no_pods().completed("train-one")
    assert given.decide().stage("train-one").estimated_completion_time is None
    assert Given().done(*ALL).decide().status.estimated_completion_time is None


def test_the_columns_of_a_running_job() -> None:
    given = Given().done("fetch-teacher").child("fetch-student").running_pod("fetch-student").child("prepare-dataset")
    status = given.decide().status
    assert (status.phase, status.method) == ("Running", "Offline")
    assert status.current_stage == "fetch-student,prepare-dataset"


# Kueue.


def test_a_child_held_by_its_queue_is_queued_not_failed() -> None:
    seen = generating().held("generate", "Waiting for quota").decide()
    stage = seen.stage("generate")
    assert (stage.state, stage.reason, stage.message) == ("Queued", "WaitsForQuota", "Waiting for quota")
    assert (seen.created, seen.deleted) == ([], [])
    assert seen.status.phase == "Queued"


def test_an_eviction_by_the_queue_costs_nothing() -> None:
    given = generating().child("generate").running_pod("generate")
    given.decide()
    stage = given.held("generate").no_pods().decide().stage("generate")
    assert (stage.state, stage.attempt) == ("Queued", 0)
    assert stage.attempts.failures == stage.attempts.disruptions == 0


# Suspension.


def test_suspend_removes_what_runs_and_starts_nothing() -> None:
    given = Given().done("fetch-teacher").child("fetch-student").running_pod("fetch-student").held("prepare-dataset")
    seen = given.spec(suspend=True).act()
    assert seen.created == []
    assert seen.deleted == ["job-fetch-student-0", "job-prepare-dataset-0"]
    assert seen.states("fetch-teacher", "fetch-student") == ["Complete", "Suspended"]
    assert seen.status.phase == "Suspended"
    assert seen.holds("Suspended")
    assert given.decide().deleted == []  # they are going already


def test_a_job_created_suspended_makes_nothing() -> None:
    """Case 38: nor is it looked at again before somebody changes it."""
    seen = Given(suspend=True).decide()
    assert (seen.created, seen.deleted, seen.status.phase) == ([], [], "Suspended")
    assert seen.decision.requeue_after is None


def test_resuming_starts_a_new_attempt_for_free() -> None:
    given = Given().child("fetch-student").spec(suspend=True)
    given.decide()
    seen = given.gone("fetch-student").spec(suspend=False).decide()
    assert "fetch-student/1" in seen.created
    assert seen.stage("fetch-student").attempts.failures == 0
    assert not seen.holds("Suspended")


def test_resuming_waits_for_the_pods_of_before() -> None:
    given = Given().child("fetch-student").running_pod("fetch-student").spec(suspend=True)
    before = given.act().status
    seen = given.spec(suspend=False).decide()
    assert "fetch-student/1" not in seen.created
    assert seen.stage("fetch-student").reason == "PredecessorRuns"
    # The user has asked for it: nothing is wrong.
    events = transitions(before, seen.status)
    assert [event.type for event in events if event.reason == "PredecessorRuns"] == ["Normal"]
    seen = given.gone("fetch-student").no_pods().decide()
    assert "fetch-student/1" in seen.created


def test_resuming_before_the_child_was_removed_goes_on_with_it() -> None:
    given = Given().child("fetch-student").running_pod("fetch-student").spec(suspend=True)
    given.decide()  # and the deletion failed
    seen = given.spec(suspend=False).decide()
    assert "fetch-student/1" not in seen.created
    assert seen.stage("fetch-student").state == "Running"


def test_what_ended_just_before_the_suspension_counts_after_it() -> None:
    given = Given().completed("fetch-student").spec(suspend=True)
    assert given.decide().deleted == []
    assert given.spec(suspend=False).decide().stage("fetch-student").state == "Complete"


def test_suspend_also_stops_a_child_whose_inputs_are_no_longer_known_to_exist() -> None:
    # The status was lost: the stages before are looked at again.
    assert Given(suspend=True).child("generate").running_pod("generate").decide().deleted == ["job-generate-0"]


def test_a_child_that_was_stopped_before_its_inputs_were_known_is_followed_by_another_attempt() -> None:
    """A suspension may come between the child's creation and the status that tells of it."""
    given = Given(suspend=True).child("generate").running_pod("generate")
    given.act()
    given.gone("generate").no_pods().done(*BEFORE_GENERATE)
    assert "generate/1" in given.spec(suspend=False).decide().created


def test_suspending_what_is_complete_changes_nothing() -> None:
    given = Given().done(*ALL)
    assert given.decide().status.phase == "Complete"
    assert given.spec(suspend=True).decide().status.phase == "Complete"


# Failures.


def test_a_permanent_failure_fails_the_job_at_once_and_stops_the_others() -> None:
    given = Given().child("fetch-student").running_pod("fetch-student")
    given.gave_up("prepare-dataset", "MissingColumn", "There is no column messages.", ago=0)
    seen = given.act()
    assert seen.created == []
    assert seen.deleted == ["job-fetch-student-0"]
    assert seen.states("prepare-dataset", "fetch-student") == ["Failed", "Waiting"]
    assert seen.status.phase == "Failed"
    failed = seen.condition("Failed")
    assert (failed.status, failed.reason) == ("True", "MissingColumn")
    assert failed.message == "Stage prepare-dataset: There is no column messages."
    assert seen.stage("prepare-dataset").attempts.failures == 0


def test_a_permanent_failure_is_known_without_its_pods() -> None:
    stage = Given().failed("prepare-dataset", FailureClass.PERMANENT).decide().stage("prepare-dataset")
    assert stage.state == "Failed"


def test_of_several_hosts_the_verdict_counts_not_the_crashes_that_follow_from_it() -> None:
    given = Given(training={"stages": [{"name": "one", "steps": 10, "hosts": 2}]}).done(*BEFORE_TRAINING)
    given.gave_up("train-one", "NoTrainingSteps").ended_pod("train-one", index=1, exit_text="exit code 1")
    stage = given.decide().stage("train-one")
    assert (stage.state, stage.reason) == ("Failed", "NoTrainingSteps")


def test_a_crash_is_tried_again_after_a_pause() -> None:
    given = training().crashed("train-one", ago=0, text="exit code 137 (OOMKilled)")
    seen = given.decide()
    stage = seen.stage("train-one")
    assert (seen.created, stage.state, stage.reason, stage.attempt) == ([], "Pending", "PodFailed", 0)
    assert stage.message is not None and "OOMKilled" in stage.message
    wait = seen.decision.requeue_after
    assert wait is not None and wait.total_seconds() == 5
    stage = given.later(5).decide().stage("train-one")
    assert (stage.attempt, stage.attempts.failures) == (1, 1)
    assert given.decide().created == ["train-one/1"]


def test_shards_are_tried_again_by_their_job_and_not_once_more_by_us() -> None:
    seen = generating(retries={"failures": 2}).crashed("generate", text="exit code 139").decide()
    stage = seen.stage("generate")
    assert (seen.created, stage.state, seen.status.phase) == ([], "Failed", "Failed")
    assert stage.message is not None and "exit code 139" in stage.message


def test_a_crash_of_the_other_hosts_when_one_is_preempted_is_a_disruption() -> None:
    """Case 68: restarts for a disruption are not charged to the failures."""
    given = training().crashed("train-one", ago=10).running_pod("train-one", index=1, terminating=True, disrupted=True)
    stage = given.decide().stage("train-one")
    assert (stage.attempts.failures, stage.attempts.disruptions) == (0, 1)


def test_the_last_five_failures_are_kept_with_where_and_why() -> None:
    given = training(retries={"failures": 9})
    for attempt in range(7):
        given.failed("train-one", attempt=attempt, ago=0)
        given.no_pods().ended_pod("train-one", attempt, exit_text=f"exit code {attempt}", exit_code=attempt, node="n1")
        given.later(600).decide()
        given.later(1).decide()
    assert given.status is not None
    kept = given.status.last_failures
    assert [failure.attempt for failure in kept] == [2, 3, 4, 5, 6]
    last = kept[-1]
    assert (last.stage, last.failure_class, last.reason, last.exit_code, last.node) == (
        "train-one", "Crash", "PodFailed", 6, "n1",
    )  # fmt: skip
    assert last.message is not None and last.message.endswith("exit code 6")


def test_a_verdict_and_a_disruption_are_kept_as_such() -> None:
    given = training().failed("train-one", FailureClass.DISRUPTION, ago=60)
    given.decide()
    given.later(1).act()
    given.no_pods().gave_up("train-one", "NoTrainingSteps", attempt=1, ago=0)
    kept = given.later(60).decide().status.last_failures
    assert [(failure.failure_class, failure.reason) for failure in kept] == [
        ("Disruption", "PodDisrupted"),
        ("Permanent", "NoTrainingSteps"),
    ]


def test_looking_often_at_a_crash_counts_it_once() -> None:
    given = training().crashed("train-one", ago=0)
    for _ in range(5):
        given.later(0.5).decide()
    given.later(5)
    for _ in range(5):
        stage = given.act().stage("train-one")
    assert (stage.attempt, stage.attempts.failures) == (1, 1)


def test_pauses_grow_up_to_five_minutes() -> None:
    given = training(retries={"failures": 20})
    waits: list[float] = []
    for attempt in range(9):
        given.crashed("train-one", attempt, ago=0)
        wait = given.decide().decision.requeue_after
        assert wait is not None
        waits.append(wait.total_seconds())
        given.later(LONGEST_BACK_OFF).decide()
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]


@pytest.mark.parametrize("budget", [0, 1, 3])
def test_crashes_are_retried_as_often_as_the_budget_says(budget: int) -> None:
    given = training(retries={"failures": budget})
    for attempt in range(budget):
        assert given.crashed("train-one", attempt).decide().status.phase != "Failed"
        given.later(LONGEST_BACK_OFF).decide()
        assert given.decide().created == [f"train-one/{attempt + 1}"]
    seen = given.crashed("train-one", budget).decide()
    assert (seen.stage("train-one").state, seen.status.phase) == ("Failed", "Failed")


def test_an_accelerator_that_is_still_held_is_waited_for_and_costs_no_failure() -> None:
    """Case 66."""
    given = training(retries={"failures": 0})
    told = StageFailure(stage="train-one", reason="AcceleratorBusy", message="/dev/vfio/0 is busy", permanent=False)
    given.failed("train-one", ago=0).ended_pod("train-one", failure=told, exit_text="exit code 75")
    assert given.later(50).decide().stage("train-one").attempt == 0
    stage = given.later(15).decide().stage("train-one")
    assert (stage.attempt, stage.attempts.failures, stage.attempts.disruptions) == (1, 0, 1)


def test_disruptions_are_counted_apart() -> None:
    """Case 68."""
    given = generating(retries={"failures": 0, "disruptions": 2})
    for attempt in range(2):
        given.failed("generate", DISRUPTION, attempt).later(LONGEST_BACK_OFF)
        stage = given.decide().stage("generate")
    assert (stage.attempts.failures, stage.attempts.disruptions, stage.attempt) == (0, 2, 2)
    assert given.failed("generate", DISRUPTION, 2).decide().status.phase == "Failed"


def test_the_pod_that_ended_first_is_the_cause() -> None:
    given = Given(training={"stages": [{"name": "one", "steps": 10, "hosts": 2}]}).done(*BEFORE_TRAINING)
    given.failed("train-one", ago=1)
    given.ended_pod("train-one", index=0, exit_text="peer is gone", finished=START)
    given.ended_pod("train-one", index=1, exit_text="out of memory", finished=parse_time("2026-11-25T11:00:00Z"))
    message = given.decide().stage("train-one").message
    assert message is not None and "out of memory" in message


def test_a_child_that_failed_without_pods_tells_what_kubernetes_says() -> None:
    stage = (
        training()
        .failed("train-one", message="Job has reached the specified backoff limit")
        .decide()
        .stage("train-one")
    )
    assert (stage.reason, stage.attempt) == ("ChildFailed", 1)
    assert stage.message is not None and "Job has reached the specified backoff limit" in stage.message


@pytest.mark.parametrize("stage", ["fetch-teacher", "generate"])
def test_a_crash_after_an_eviction_that_its_job_has_mended_by_itself_is_a_crash(stage: str) -> None:
    given = generating() if stage == "generate" else Given()
    given.ended_pod(stage, name="evicted", disrupted=True, exit_text="exit code 137").crashed(stage)
    given.decide()
    assert given.status is not None
    assert [failure.failure_class for failure in given.status.last_failures] == ["Crash"]


def test_a_failed_child_is_judged_on_what_was_listed() -> None:
    given = Given().crashed("fetch-teacher")
    assert given.glance().decision.needs_fresh_lists
    assert given.glance().status == DistillationJobStatus()
    assert given.decide().stage("fetch-teacher").attempts.failures == 1


def test_an_attempt_starts_beside_no_pod_that_was_not_heard_of() -> None:
    given = Given().crashed("fetch-teacher")
    given.decide()
    glance = given.glance()
    assert glance.decision.needs_fresh_lists and not glance.created
    assert given.decide().created[0] == "fetch-teacher/1"


# Results.


def test_a_complete_child_without_a_result_is_listed_first() -> None:
    given = generating().completed_unread("generate", ago=1)
    assert given.glance().decision.needs_fresh_lists
    given.completed("generate", ago=2)
    assert given.decide().stage("generate").state == "Complete"


def test_a_complete_child_without_a_readable_result_is_tried_again_not_believed() -> None:
    seen = generating().completed_unread("generate").decide()
    stage = seen.stage("generate")
    assert (stage.state, stage.reason, stage.attempts.failures) == ("Pending", "ResultLost", 1)


def test_all_shards_must_tell_their_result() -> None:
    given = generating(generation={"shards": 2}).completed("generate")
    given.ended_pod("generate", index=1, succeeded=True)
    assert given.decide().stage("generate").reason == "ResultLost"


def test_a_result_for_other_inputs_is_not_believed() -> None:
    given = Given().completed("fetch-teacher", fingerprint="of something else")
    assert given.decide().stage("fetch-teacher").reason == "ResultLost"
    given = generating(generation={"shards": 2}).completed("generate")
    other = given.result("generate", fingerprint="of something else")
    given.ended_pod("generate", index=1, succeeded=True, result=other)
    assert given.decide().stage("generate").reason == "ResultLost"


def test_a_shard_that_told_its_result_twice_is_counted_once() -> None:
    given = generating(generation={"shards": 2}).completed("generate", counts={"rows": 5})
    again = given.result("generate", counts={"rows": 5}, reused=True)
    given.ended_pod("generate", index=1, name="again", succeeded=True, result=again)
    assert given.decide().stage("generate").counts == {"rows": 10}


# Children that are in the way.


def test_a_name_taken_by_another_owner_is_told_and_left_alone() -> None:
    seen = Given().child("fetch-teacher", ours=False).decide()
    stage = seen.stage("fetch-teacher")
    assert (stage.state, stage.reason) == ("Pending", "NameTaken")
    assert stage.message is not None and "job-fetch-teacher-0" in stage.message
    assert "fetch-teacher/0" not in seen.created
    assert seen.deleted == []


def test_a_strangers_child_is_never_removed() -> None:
    given = Given(suspend=True).child("fetch-teacher", ours=False)
    assert given.decide().deleted == []
    given = Given().child("fetch-teacher", ours=False).gave_up("prepare-dataset", "MissingColumn")
    assert given.decide().deleted == []
    assert given.later(DAY).decide().deleted == ["job-prepare-dataset-0"]


def test_why_a_child_can_not_be_created_is_told_and_it_is_tried_again() -> None:
    seen = Given().refused("fetch-teacher", "QuotaExceeded", "exceeded quota: pods").decide()
    stage = seen.stage("fetch-teacher")
    assert (stage.state, stage.reason, stage.message) == ("Pending", "QuotaExceeded", "exceeded quota: pods")
    assert "fetch-teacher/0" in seen.created
    assert stage.attempts.failures == 0


def test_the_next_attempt_waits_for_a_pod_of_the_last_one() -> None:
    given = training().crashed("train-one").running_pod("train-one", index=1)
    given.decide()
    seen = given.decide()
    assert seen.created == []
    assert seen.stage("train-one").reason == "PredecessorRuns"
    given.ended_pod("train-one", index=1)
    assert given.decide().created == ["train-one/1"]


def test_a_child_deleted_by_hand_is_made_anew_without_counting() -> None:
    given = generating().child("generate").running_pod("generate")
    given.decide()
    assert given.terminating("generate").decide().stage("generate").reason == "ChildDeleted"
    assert given.gone("generate").decide().created == []  # its pod still runs
    seen = given.no_pods().decide()
    assert seen.created == ["generate/0"]
    assert seen.stage("generate").attempts.failures == 0


# The end.


def test_exactly_one_of_complete_and_failed_is_true_at_the_end() -> None:
    complete = Given().done(*ALL).decide()
    assert (complete.holds("Complete"), complete.holds("Failed")) == (True, False)
    failed = Given().gave_up("fetch-teacher", "ModelAccessDenied").decide()
    assert (failed.holds("Complete"), failed.holds("Failed")) == (False, True)
    running = Given().decide()
    assert (running.holds("Complete"), running.holds("Failed")) == (False, False)


def test_all_conditions_are_there_from_the_beginning() -> None:
    kinds = ["Accepted", "Complete", "Failed", "Reconciling", "Stalled", "Suspended"]
    assert sorted(condition.type for condition in Given().decide().status.conditions) == kinds
    assert Given().decide().holds("Accepted")


@pytest.mark.parametrize(
    ("given", "reconciling", "stalled"),
    [
        (Given(), True, False),
        (Given(suspend=True), False, False),
        (Given().done(*ALL), False, False),
        (Given().gave_up("fetch-teacher", "ModelAccessDenied"), False, True),
    ],
)
def test_conditions_that_kstatus_reads(given: Given, reconciling: bool, stalled: bool) -> None:
    """M26: a pipeline that is dead says so."""
    seen = given.decide()
    assert (seen.holds("Reconciling"), seen.holds("Stalled")) == (reconciling, stalled)


def test_a_transition_time_changes_only_when_the_status_flips() -> None:
    given = Given().child("fetch-teacher")
    first = given.decide()
    second = given.running_pod("fetch-teacher").later(60).decide()
    assert second.condition("Reconciling").reason != first.condition("Reconciling").reason
    for condition in second.status.conditions:
        assert condition.last_transition_time == "2026-11-25T12:00:00Z"
    third = given.spec(suspend=True).later(60).decide()
    flipped = {c.type for c in third.status.conditions if c.last_transition_time == "2026-11-25T12:02:00Z"}
    assert flipped == {"Suspended", "Reconciling"}


def test_times_of_the_job_are_set_once() -> None:
    given = Given()
    assert given.decide().status.start_time == "2026-11-25T12:00:00Z"
    status = given.done(*ALL).later(60).decide().status
    assert (status.start_time, status.completion_time) == ("2026-11-25T12:00:00Z", "2026-11-25T12:01:00Z")
    assert given.later(60).decide().status.completion_time == "2026-11-25T12:01:00Z"


def test_the_generation_that_was_looked_at_is_told_also_after_the_end() -> None:
    given = Given()
    assert given.decide().status.observed_generation == 1
    assert given.spec(queue={"name": "other"}).decide().status.observed_generation == 2
    given.done(*ALL).decide()
    status = given.spec(ttlSecondsAfterFinished=5).decide().status
    assert status.observed_generation == 3
    assert {condition.observed_generation for condition in status.conditions} == {3}
    assert status.phase == "Complete"


def test_more_retries_do_not_revive_a_job_that_has_failed() -> None:
    given = Given(retries={"failures": 0}).crashed("fetch-teacher")
    given.decide()
    seen = given.spec(retries={"failures": 5}).decide()
    assert (seen.status.phase, seen.created) == ("Failed", [])


def test_children_are_removed_only_when_their_time_after_the_end_is_over() -> None:
    """Case 40."""
    given = Given(ttlSecondsAfterFinished=100).done(*ALL[:-1]).completed("export").completed("evaluate")
    assert given.later(1000).decide().deleted == []
    seen = given.later(99).decide()
    assert seen.deleted == []
    assert seen.decision.requeue_after is not None and seen.decision.requeue_after.total_seconds() == 1
    assert given.later(1).act().deleted == ["job-evaluate-0", "job-export-0"]
    seen = given.decide()
    assert (seen.deleted, seen.decision.requeue_after) == ([], None)


def test_children_of_a_running_job_are_kept_however_old() -> None:
    given = Given(ttlSecondsAfterFinished=1).completed("fetch-teacher", ago=10 * DAY)
    assert given.decide().deleted == []
    assert given.later(10 * DAY).decide().deleted == []


def test_a_child_seen_only_after_the_end_is_stopped() -> None:
    given = Given().gave_up("fetch-teacher", "ModelAccessDenied")
    given.decide()
    assert given.child("fetch-student").decide().deleted == ["job-fetch-student-0"]


def test_the_scores_stand_in_the_results() -> None:
    given = Given(export={"to": {"path": "models/new"}}).done(*ALL[:-2])
    given.completed("export", outputs={"model": "runs/export"})
    given.completed("evaluate", metrics={"crossEntropyBefore": 2.5, "crossEntropyAfter": 1.25})
    given.decide()
    results = given.completed("publish", outputs={"model": "models/new"}).decide().status.results
    assert results is not None
    assert (results.cross_entropy_before, results.cross_entropy_after) == ("2.5", "1.25")
    assert (results.exported_model, results.published_model) == ("runs/export", "models/new")


# What the API server takes.


def size(status: DistillationJobStatus) -> int:
    """Bytes of a status."""
    return len(json.dumps(status.to_json_dict(), ensure_ascii=False).encode())


def test_long_messages_of_the_largest_job_stay_below_the_limit() -> None:
    """Case 55."""
    stages = [{"name": f"{letter}{'x' * 15}", "steps": 1} for letter in "abcdefgh"]
    given = Given(training={"stages": stages}, export={"to": {"path": "models/new"}})
    told = [stage.model_copy(update={"message": None}) for stage in given.decide().status.stages]
    given.pod("fetch-teacher", pending_cause=Cause("Unschedulable", "💥" * 100_000)).child("fetch-teacher")
    longest = given.decide().stage("fetch-teacher")
    everywhere = [longest.model_copy(update={"name": stage.name, "fingerprint": stage.fingerprint}) for stage in told]
    assert given.status is not None
    assert size(given.status.model_copy(update={"stages": everywhere})) < 40_000


def test_64_pods_with_long_messages_stay_below_the_limit() -> None:
    given = generating(generation={"shards": 64}).child("generate")
    for index in range(64):
        given.pod("generate", index=index, pending_cause=Cause("Unschedulable", "💥" * 100_000))
    assert size(given.decide().status) < 8192
    given.failed("generate")
    for index in range(64):
        given.ended_pod("generate", index=index, exit_text="💥" * 100_000)
    assert size(given.decide().status) < 8192


def test_whatever_a_program_tells_fits_the_schema_of_the_status() -> None:
    given = Given().gave_up("prepare-dataset", "R" * 128, "m" * 5000)
    given.completed(
        "fetch-teacher",
        outputs={"model": "p" * 1000},
        counts={f"rejected.{n}": n for n in range(500)},
        metrics={"loss": float("nan"), "kl": 1e300},
    )
    given.child("fetch-student").pod("fetch-student", pending_cause=Cause("X" * 500, "y" * 5000))
    status = given.decide().status
    assert DistillationJobStatus.model_validate(status.to_json_dict()) == status
    assert size(status) < 16_384


def test_the_status_survives_a_round_trip() -> None:
    """Case 1."""
    for given in (
        Given(),
        generating().crashed("generate", ago=0),
        generating().child("generate").running_pod("generate").says("generate", 1, 2, rate=0.1234),
        Given().gave_up("fetch-teacher", "ModelAccessDenied"),
        Given().done(*ALL),
    ):
        status = given.decide().status
        assert DistillationJobStatus.model_validate(json.loads(json.dumps(status.to_json_dict()))) == status


def test_the_order_of_what_is_observed_does_not_matter() -> None:
    given = generating().crashed("generate", ago=0).completed("fetch-teacher")
    forward = given.decide().status
    given.children = dict(reversed(given.children.items()))
    given.pods = dict(reversed(given.pods.items()))
    assert given.decide().status == forward


def test_a_clock_that_went_back_does_not_break_anything() -> None:
    given = training().crashed("train-one", ago=-60)
    assert given.decide().created == []
    given.children = {name: replace(child, ended_at=START) for name, child in given.children.items()}
    given.later(5).decide()
    assert given.decide().created == ["train-one/1"]
