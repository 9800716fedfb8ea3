"""From the end of a stage's pods to the next stage's child: what the pods tell is the proof, their Job only follows."""

from dataclasses import replace
from typing import Any

import pytest

from distillation_api.contract import StageFailure
from distillation_operator.pipeline.observed import ChildState, FailureClass
from distillation_operator.pipeline.status.events import transitions
from support.scenario import ALL, BEFORE_GENERATE, BEFORE_TRAINING, Given

TWO_SLICES = {"type": "tpu-v5-lite-podslice", "topology": "2x4", "chipsPerHost": 4, "slices": 2}


def generating() -> Given:
    """A job at the stage ``generate``, of two shards."""
    return Given(generation={"shards": 2}).done(*BEFORE_GENERATE)


def training() -> Given:
    """A job at a training stage of two slices of two hosts each."""
    stages = [{"name": "one", "steps": 10}, {"name": "two", "data": "OriginalDataset", "steps": 10}]
    return Given(training={"stages": stages, "accelerator": TWO_SLICES}).done(*BEFORE_TRAINING)


# What counts.


def test_the_next_child_is_made_as_soon_as_the_pod_has_told_its_result() -> None:
    given = Given()
    given.act()
    seen = given.later(10).proven("fetch-student", ago=3).decide()
    assert "convert-student/0" in seen.created
    stage = seen.stage("fetch-student")
    assert (stage.state, stage.attempt, stage.completion_time) == ("Complete", 0, "2026-11-25T12:00:07Z")
    assert stage.attempts.failures == stage.attempts.disruptions == 0


def test_the_jobs_own_end_changes_nothing_any_more() -> None:
    given = Given().proven("fetch-student")
    given.act()
    before = given.decide().status
    given.child("fetch-student", ChildState.COMPLETE, ended_at=given.now)
    seen = given.decide()
    assert (seen.status, seen.created, seen.deleted) == (before, [], [])


def test_all_shards_have_to_tell() -> None:
    given = generating().child("generate").well_ended_pod("generate", index=0)
    assert given.decide().stage("generate").state == "Running"
    assert given.running_pod("generate", index=1).decide().stage("generate").state == "Running"
    seen = given.no_pods().proven("generate").decide()
    assert seen.stage("generate").state == "Complete"
    assert seen.created == ["pack-one/0"]


def test_a_shard_that_was_tried_twice_counts_once() -> None:
    given = generating().proven("generate")
    told = given.result("generate", counts={"kept": 7})
    given.well_ended_pod("generate", index=0, result=told).well_ended_pod("generate", index=1, result=told)
    given.ended_pod("generate", name="first", exit_text="exit code 1", index_failures=1)
    given.well_ended_pod("generate", name="again", result=told)
    stage = given.decide().stage("generate")
    assert (stage.state, stage.counts, stage.attempts.failures) == ("Complete", {"kept": 14}, 1)


def test_all_hosts_have_to_end_well_and_the_first_tells_for_all() -> None:
    given = training()
    given.act()
    given.later(100)
    for number, index in ((0, 0), (0, 1), (1, 0)):
        given.well_ended_pod("train-one", index=index, number=number)
        assert given.decide().stage("train-one").state == "Running"
    seen = given.well_ended_pod("train-one", index=1, number=1, ago=10).decide()
    stage = seen.stage("train-one")
    assert (stage.state, stage.completion_time) == ("Complete", "2026-11-25T12:01:30Z"), "of the last that ended"
    assert seen.created == ["export-one/0", "train-two/0"]


def test_hosts_that_all_find_the_training_done_count_once() -> None:
    given = training().proven("train-one")
    for number in range(2):
        for index in range(2):
            found = given.result("train-one", counts={"steps": 10}, reused=True)
            given.well_ended_pod("train-one", index=index, number=number, result=found)
    assert given.decide().stage("train-one").counts == {"steps": 10}
    given.child("train-one", ChildState.COMPLETE, ended_at=given.now)
    given.status = None
    given.done(*BEFORE_TRAINING)
    assert given.decide().stage("train-one").counts == {"steps": 10}, "likewise by the JobSet's word"


@pytest.mark.parametrize(
    "flaw",
    [
        {"owner": "somebody"},
        {"owner": ""},
        {"complete": False},
        {"result": None},
        {"index": 1},
    ],
    ids=["of another owner", "of no owner", "a sidecar goes on", "without a result", "of another index"],
)
def test_what_proves_nothing_waits_for_the_job(flaw: dict[str, Any]) -> None:
    given = Given().child("fetch-student").well_ended_pod("fetch-student")
    (name,) = given.pods
    given.pods[name] = replace(given.pods[name], **flaw)
    seen = given.decide()
    assert seen.stage("fetch-student").state == "Running"
    assert "convert-student/0" not in seen.created


def test_a_result_of_something_else_proves_nothing() -> None:
    given = Given().child("fetch-student")
    given.well_ended_pod("fetch-student", result=given.result("fetch-student", fingerprint="f" * 16))
    assert given.decide().stage("fetch-student").state == "Running"


def test_a_pod_that_still_runs_beside_it_has_to_end_first() -> None:
    given = Given().proven("fetch-student").running_pod("fetch-student")
    assert given.decide().stage("fetch-student").state == "Running"


def test_another_owners_child_proves_nothing() -> None:
    given = Given().proven("fetch-student", ours=False)
    assert given.decide().stage("fetch-student").reason == "NameTaken"


def test_no_list_is_needed_to_see_that_the_work_is_done() -> None:
    given = Given().done(*ALL[:-1]).proven("evaluate")
    seen = given.glance()
    assert not seen.decision.needs_fresh_lists
    assert seen.status.phase == "Complete"


def test_a_clock_that_is_wrong_makes_no_stage_end_before_its_start_or_in_future() -> None:
    for ago, expected in ((3600, "2026-11-25T12:00:00Z"), (-3600, "2026-11-25T12:00:10Z")):
        given = Given()
        given.act()
        stage = given.later(10).proven("fetch-student", ago=ago).decide().stage("fetch-student")
        assert (stage.start_time, stage.completion_time) == ("2026-11-25T12:00:00Z", expected)


# What comes after.


def failed_after(given: Given) -> Given:
    """The Job of ``fetch-student`` has failed, by a deadline."""
    message = "Job was active longer than specified deadline"
    return given.failed("fetch-student", FailureClass.CRASH, message=message)


def test_a_job_that_fails_after_it_is_told_and_changes_nothing() -> None:
    given = Given().proven("fetch-student")
    given.act()
    before = given.decide().status
    seen = failed_after(given).decide()
    stage = seen.stage("fetch-student")
    assert (stage.state, stage.attempt, stage.reason) == ("Complete", 0, "ChildFailedLater")
    assert stage.message == (
        "MaxText runs it as llama2-7b, as maxTextModel says. job-fetch-student-0 failed after its pods had done the "
        "work, which stands: Job was active longer than specified deadline"
    )
    assert (stage.attempts.failures, seen.status.last_failures) == (0, [])
    assert (seen.created, seen.deleted, seen.status.phase, seen.status.reason) == ([], [], "Running", None)
    told = [event for event in transitions(before, seen.status) if event.type == "Warning"]
    assert [(event.reason, event.message) for event in told] == [
        ("ChildFailedLater", f"fetch-student: {stage.message}")
    ]
    assert transitions(seen.status, given.decide().status) == [], "once"


def test_nor_does_one_that_has_failed_before_anybody_looked() -> None:
    seen = failed_after(Given().proven("fetch-student")).decide()
    assert seen.stage("fetch-student").state == "Complete"
    assert seen.stage("fetch-student").reason == "ChildFailedLater"
    assert "convert-student/0" in seen.created


def test_nor_does_one_of_a_job_that_has_ended() -> None:
    given = Given().done(*ALL[:-1]).proven("evaluate")
    given.decide()
    given.failed("evaluate", message="too late")
    seen = given.decide()
    assert (seen.status.phase, seen.stage("evaluate").reason) == ("Complete", "ChildFailedLater")
    assert given.decide().status == seen.status


def test_a_shard_that_gave_up_fails_the_job_as_before() -> None:
    given = generating().child("generate").well_ended_pod("generate", index=0)
    verdict = StageFailure(stage="generate", reason="PromptTooLong", message="told", permanent=True)
    given.failed("generate", FailureClass.PERMANENT)
    given.ended_pod("generate", index=1, failure=verdict, exit_code=65, exit_text="exit code 65")
    assert given.decide().stage("generate").reason == "PromptTooLong"


def test_a_job_that_would_do_the_work_again_is_ended() -> None:
    given = Given().proven("fetch-student")
    given.act()
    given.no_pods().running_pod("fetch-student")
    assert given.glance().decision.needs_fresh_lists, "what is deleted is looked at first"
    seen = given.act()
    assert seen.deleted == ["job-fetch-student-0"]
    assert seen.stage("fetch-student").state == "Complete"
    assert given.decide().deleted == []


def test_a_job_that_its_queue_takes_back_after_its_work_is_ended() -> None:
    given = Given().proven("fetch-student")
    given.act()
    assert given.held("fetch-student").decide().deleted == ["job-fetch-student-0"]


def test_a_job_that_has_yet_to_say_that_it_is_done_is_left_its_pods() -> None:
    """Whoever reads their logs finds them: at the job's end, when another stage fails, and during a suspension."""
    given = Given().done(*ALL[:-1]).proven("evaluate")
    assert given.decide().status.phase == "Complete"
    assert given.decide().deleted == []

    given = Given().proven("fetch-student").child("fetch-teacher").running_pod("fetch-teacher")
    seen = given.gave_up("prepare-dataset", "MissingColumn").decide()
    assert (seen.status.phase, seen.deleted) == ("Failed", ["job-fetch-teacher-0"])
    assert given.decide().deleted == ["job-fetch-teacher-0"]

    given = Given(suspend=True).proven("fetch-student").child("fetch-teacher").running_pod("fetch-teacher")
    assert given.decide().deleted == ["job-fetch-teacher-0"]
    assert given.spec(suspend=False).decide().stage("fetch-student").state == "Complete"


def test_a_job_whose_pods_were_suspended_by_its_queue_as_they_ended_is_complete() -> None:
    given = Given().proven("fetch-student").held("fetch-student")
    assert given.decide().stage("fetch-student").state == "Complete"


def test_chip_hours_end_with_the_pods() -> None:
    given = training().proven("train-one", ago=60)
    for name, pod in given.pods.items():
        given.pods[name] = replace(pod, started=given.now.replace(hour=11, minute=58))
    assert given.decide().stage("train-one").chip_seconds == 60 * 16
    given.later(600)
    assert given.decide().stage("train-one").chip_seconds == 60 * 16
