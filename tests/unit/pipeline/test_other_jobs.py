"""Two jobs that need the same stage: one works, the other waits, and what waiting finds out costs nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from distillation_api.contract import StageFailure
from distillation_operator.pipeline.decision.job import decide
from support.scenario import BEFORE_GENERATE, BEFORE_TRAINING, Given, Seen


def decided_beside(given: Given, stage: str) -> Seen:
    """The decision while a child of another job works at the stage."""
    observed = replace(given.observed, fresh=True, at_work={given.stage(stage).output: "ml/other"})
    return Seen(decide(given.job, observed, given.now))


def test_a_stage_that_another_job_works_at_is_not_started() -> None:
    given = Given().done(*BEFORE_TRAINING)
    seen = decided_beside(given, "train-one")
    assert seen.created == []
    stage = seen.stage("train-one")
    assert (stage.state, stage.reason) == ("Pending", "WaitsForOtherJob")
    assert stage.message == (
        "Waits for DistillationJob ml/other, which makes the same; what it makes is taken when it is done."
    )
    assert seen.decision.requeue_after is not None and seen.decision.requeue_after <= timedelta(seconds=10)
    assert given.decide().created == ["train-one/0"], "when it has ended"


def test_other_stages_go_on() -> None:
    seen = decided_beside(Given(), "fetch-teacher")
    assert seen.created == ["fetch-student/0", "prepare-dataset/0"]


def test_what_runs_already_is_left_to_the_claim_in_the_storage() -> None:
    given = Given().done(*BEFORE_TRAINING)
    given.act()
    given.running_pod("train-one")
    assert decided_beside(given, "train-one").stage("train-one").state == "Running"


@pytest.mark.parametrize(("stage_name", "before"), [("train-one", BEFORE_TRAINING), ("generate", BEFORE_GENERATE)])
def test_a_pod_that_finds_another_clusters_job_at_work_costs_no_attempt(
    stage_name: str, before: tuple[str, ...]
) -> None:
    given = Given(retries={"failures": 0, "disruptions": 0}).done(*before)
    given.act()
    told = StageFailure(stage=stage_name, reason="WaitsForOtherJob", message="UID 7 works", permanent=False)
    given.failed(stage_name, ago=0).ended_pod(stage_name, failure=told, exit_text="exit code 75")
    seen = given.act()
    stage = seen.stage(stage_name)
    assert (stage.state, stage.reason) == ("Pending", "WaitsForOtherJob")
    assert stage.message == "Tried again soon: UID 7 works"
    given.later(301).act()
    created = given.act()
    assert created.created == [f"{stage_name}/1"]
    attempts = created.stage(stage_name).attempts
    assert (attempts.failures, attempts.disruptions) == (0, 0)
    assert created.status.last_failures == []
