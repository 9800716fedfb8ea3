"""The time left that the demo and the quickstart tell, and what they say at their end."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.__main__ import estimated
from demo.__main__ import steps as demo_steps
from demo.child import run_to_its_end
from demo.estimate import Estimate, Step, in_words
from demo.progress import Progress
from demo.quickstart import (
    EXAMPLE,
    JOB,
    STAGES_OF_THE_JOB,
    closing_lines,
    command,
    read_status,
    set_aside,
    stage_lines,
    steps,
)

STEPS = [Step("install", 100), Step("convert", 20), Step("run", 200)]


def test_in_the_first_second_it_is_what_steps_usually_take() -> None:
    assert Estimate(STEPS, 1000.0).left(1000.0) == pytest.approx(320)
    assert Estimate([], 0.0).left(5.0) == 0


def test_as_fast_as_usual_it_goes_down_with_the_clock() -> None:
    estimate = Estimate(STEPS, 0.0)
    assert estimate.left(50.0) == pytest.approx(270)
    estimate.begin("convert", 100.0)
    estimate.begin("run", 120.0)
    assert estimate.left(120.0) == pytest.approx(200)
    assert estimate.left(310.0) == pytest.approx(20, abs=1)


def test_a_slow_machine_is_told_more_and_a_step_that_overruns_never_ends_the_estimate() -> None:
    estimate = Estimate(STEPS, 0.0)
    estimate.begin("convert", 200.0)
    assert 350 < estimate.left(200.0) <= 440
    estimate.begin("run", 240.0)
    assert estimate.left(240.0) == pytest.approx(400, rel=0.1)
    assert estimate.left(2000.0) > 20


def test_steps_that_are_skipped_or_unknown_change_nothing_but_what_is_ahead() -> None:
    estimate = Estimate(STEPS, 0.0)
    estimate.begin("something else", 1.0)
    estimate.begin("run", 1.0)
    estimate.begin("install", 2.0)
    assert estimate.left(2.0) == pytest.approx(199)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute left"),
        (44, "less than a minute left"),
        (61, "about 1 min left"),
        (450, "about 8 min left"),
    ],
)
def test_a_time_is_told_no_more_exactly_than_it_is_known(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_the_plan_has_what_is_missing_alone() -> None:
    warm = steps([], has_models=True)
    cold = steps(["fetcher", "teacher"], has_models=False)
    assert [step.name for step in cold] == ["fetcher", "teacher", "inputs", *STAGES_OF_THE_JOB]
    assert [step.name for step in warm] == ["inputs", *STAGES_OF_THE_JOB]
    assert sum(step.seconds for step in warm) < 300 < 600 > sum(step.seconds for step in cold)


def complete_job() -> dict[str, Any]:
    return {
        "status": {
            "phase": "Complete",
            "stages": [{
                "name": "evaluate", "state": "Complete",
                "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:30Z",
            }],
            "results": {
                "crossEntropyBefore": "8.000", "crossEntropyAfter": "4.000",
                "report": "distillation/evaluate/a/report.html", "exportedModel": "distillation/export/b/model",
            },
        }
    }  # fmt: skip


def test_at_the_end_scores_and_places_are_told(tmp_path: Path) -> None:
    text = "\n".join(closing_lines(complete_job(), tmp_path / "build" / "quickstart", tmp_path))
    assert "evaluate               Complete   30 s" in text
    assert "held-out cross-entropy 8.000 -> 4.000 nats per token (-50%)" in text
    assert "the student:  build/quickstart/distillation/export/b/model" in text
    assert "the report:   build/quickstart/distillation/evaluate/a/report.html" in text


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({}, "no student yet: the job is not begun"),
        ({"status": None}, "no student yet: the job is not begun"),
        ({"status": {"phase": "Running", "stages": [{"name": "generate", "state": "Running"}]}}, "the job is Running"),
    ],
)
def test_without_a_student_the_phase_and_the_logs_are_told(job: dict[str, Any], said: str, tmp_path: Path) -> None:
    first, second = closing_lines(job, tmp_path / "build" / "quickstart", tmp_path)
    assert said in first
    assert "logs of the stages: build/quickstart/quickstart/logs" in second


def test_a_job_that_the_example_no_longer_is_makes_room_for_the_new_one(tmp_path: Path) -> None:
    status = tmp_path / JOB / "status.yaml"
    assert set_aside(status) is None
    job = yaml.safe_load(EXAMPLE.read_text())
    status.parent.mkdir()
    status.write_text(yaml.safe_dump(job))
    assert set_aside(status) is None
    job["spec"]["dataset"]["limit"] = 50
    status.write_text(yaml.safe_dump(job))
    aside = set_aside(status)
    assert aside is not None and (aside / "status.yaml").exists() and not status.parent.exists()


@pytest.mark.parametrize("text", ["", "- a list", "key: [half", "\x00"])
def test_a_status_that_is_no_job_is_as_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "status.yaml").write_text(text)
    assert read_status(tmp_path / "status.yaml") == {}
    assert read_status(tmp_path / "missing.yaml") == {}


def test_the_jobs_folder_is_named_as_the_example_is() -> None:
    assert yaml.safe_load(EXAMPLE.read_text())["metadata"]["name"] == JOB


def test_lines_of_the_stages_move_the_estimate_and_those_that_wait_are_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress()
    progress.plan(steps([], has_models=True))
    code = run_to_its_end([sys.executable, "-c", f"print({LOCAL!r})"], Path(), stage_lines(progress))
    assert code == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.endswith("fetch-teacher: Complete reused")
    assert second.endswith("generate: Running 63%, 66/104 rows; about 3 min left")
    assert third.endswith("export: Running; about 1 min left")


LOCAL = """00:08:11 fetch-teacher: Complete reused
00:08:11 export: Waiting Waits for train-teacher-data, fetch-student.
00:08:11 generate: Running 63%, 66/104 rows
00:08:31 export: Running"""


def test_what_failed_is_tried_again_by_the_next_start() -> None:
    assert "--retry" not in command({}) and "--retry" not in command(complete_job())
    failed = {"status": {"phase": "Failed", "stages": [{"name": "evaluate", "state": "Failed"}]}}
    assert command(failed)[-2:] == ["--retry", "evaluate"]


def test_the_demo_waits_for_go_where_programs_are_missing_and_else_for_environments() -> None:
    names = [step.name for step in demo_steps(["kube", "jobset", "jobset manifests"], ["trainer"])]
    assert names[:2] == ["go build kube", "go build jobset"] and "environment trainer" not in names
    assert demo_steps([], ["trainer"])[0].name == "environment trainer"
    assert len(demo_steps([], [])) == len(names) - 2


def test_each_line_of_a_build_says_how_long_all_will_take(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress.plan([Step("go build kube", 600), Step("go build jobset", 60), Step("the run", 300)])
    say = estimated(progress)
    say("go build kube")
    say("still building: go build kube, environment trainer")
    say("go build jobset")
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.endswith("go build kube; about 16 min left")
    assert second.endswith("environment trainer; about 16 min left")
    assert third.endswith("go build jobset; about 6 min left")
