"""A student that the gate refuses has its scores and its report in the status, where one wants them most."""

from distillation_api.contract import StageFailure
from support.scenario import ALL, Given, Seen

SCORES = {"crossEntropyBefore": 4.0, "crossEntropyAfter": 3.9, "crossEntropyDrop": 0.025}
OUTPUTS = {"report": "p/evaluate/h/report.html"}


def refused(**members: object) -> tuple[Given, Seen]:
    given = Given().done(*ALL[:-1]).gave_up("evaluate", "EvaluationGateFailed", "too little")
    told = {"stage": "evaluate", "reason": "EvaluationGateFailed", "message": "too little", "permanent": True}
    given.ended_pod("evaluate", exit_code=65, failure=StageFailure.model_validate({**told, **members}))
    return given, given.decide()


def test_the_scores_and_the_report_of_a_refused_student_are_results() -> None:
    _, seen = refused(outputs=OUTPUTS, metrics=SCORES)
    results = seen.status.results
    assert (seen.status.phase, seen.status.reason) == ("Failed", "EvaluationGateFailed")
    assert results is not None and results.report == OUTPUTS["report"]
    assert (results.cross_entropy_before, results.cross_entropy_after, results.cross_entropy_drop) == (
        "4", "3.9", "0.025",
    )  # fmt: skip


def test_a_retry_begins_without_them() -> None:
    given, _ = refused(outputs=OUTPUTS, metrics=SCORES)
    seen = given.annotated({"distillation.dev/retry": "evaluate/1"}).act()
    assert seen.status.results is None and seen.created == ["evaluate/1"]


def test_a_program_of_before_tells_none() -> None:
    assert refused()[1].status.results is None


def test_whatever_a_program_says_stays_within_the_limits_of_a_status() -> None:
    _, seen = refused(
        outputs={f"{number}" * 300: "x" * 5000 for number in range(100)},
        metrics={"crossEntropyAfter": float("nan"), **{f"{number}": 1e308 for number in range(100)}},
    )
    stage = seen.stage("evaluate")
    assert stage.outputs is not None and len(stage.outputs) <= 32 and max(map(len, stage.outputs.values())) <= 256
    assert stage.metrics is not None and len(stage.metrics) <= 32
