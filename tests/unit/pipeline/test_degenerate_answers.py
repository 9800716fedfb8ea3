"""A student whose answers degenerate is told of in the status and by a Warning, and stays what came of the job."""

from typing import Any

import pytest

from distillation_operator.pipeline.status.events import Event, transitions
from support.scenario import ALL, Given, Seen

FIGURES = {
    "crossEntropyAfter": 1.25,
    "answerTokensTeacher": 31.5,
    "endsByItselfTeacher": 0.94,
    "repetitionTeacher": 0.03,
    "answerTokensAfter": 72.0,
    "endsByItselfAfter": 0.0625,
    "repetitionAfter": 0.71,
}


def evaluated(metrics: dict[str, float], **result: Any) -> tuple[Seen, list[Event]]:
    """What is decided when evaluate has told these metrics, and the Events about it."""
    given = Given().done(*ALL[:-1])
    given.act()
    before = given.status
    seen = given.completed("evaluate", metrics=metrics, **result).decide()
    return seen, [event for event in transitions(before, seen.status) if event.message.startswith("evaluate")]


def test_it_is_told_with_its_figures_beside_the_teachers() -> None:
    seen, events = evaluated({**FIGURES, "degenerateAfter": 1.0})
    stage = seen.stage("evaluate")
    assert (seen.status.phase, stage.state, stage.reason) == ("Complete", "Complete", "DegenerateAnswers")
    assert stage.message == (
        "The student's answers degenerate: median length in tokens 72, the teacher's 31.5; share that ends by itself "
        "6%, the teacher's 94%; share of repeated n-grams 71%, the teacher's 3%. The report has them."
    )
    assert [(event.type, event.reason) for event in events] == [
        ("Normal", "StageComplete"),
        ("Warning", "DegenerateAnswers"),
    ]
    assert events[1].message == f"evaluate: {stage.message}"
    assert stage.metrics is not None
    assert stage.metrics["endsByItselfAfter"] == "0.0625"


@pytest.mark.parametrize(
    "metrics", [{**FIGURES, "degenerateAfter": 0.0}, {"crossEntropyAfter": 1.25}], ids=["none", "an older image"]
)
def test_otherwise_nothing_is_told(metrics: dict[str, float]) -> None:
    seen, events = evaluated(metrics)
    assert (seen.stage("evaluate").reason, seen.stage("evaluate").message) == (None, None)
    assert [event.type for event in events] == ["Normal"]


def test_a_figure_that_is_missing_is_left_out() -> None:
    seen, _ = evaluated({"degenerateAfter": 1.0, "endsByItselfAfter": 0.0, "endsByItselfTeacher": 1.0})
    assert seen.stage("evaluate").message == (
        "The student's answers degenerate: share that ends by itself 0%, the teacher's 100%. The report has them."
    )
