"""Facts of a small distillation, for tests of what is made of them."""

from typing import Any

from distillation_api.contract import (
    AnswerFigures,
    Curve,
    Gate,
    HeldOutPoint,
    JobIdentity,
    ModelScore,
    ModelSize,
    ReportFacts,
    RowCounts,
    SourceNames,
    StageFigures,
)
from distillation_stages.programs.evaluate.samples import Sample
from unit.stages.stage_inputs import prompt_of

BEFORE = ModelScore(name="before", cross_entropy=4.0, perplexity=54.6, kl=2.0, top1_agreement=0.2)
AFTER = ModelScore(name="a", cross_entropy=3.0, perplexity=20.1, kl=1.25, top1_agreement=0.4)
CURVE = Curve(steps=[1, 2], loss=[3.0, 2.5], held_out=[HeldOutPoint(step=0, cross_entropy=4.0)])
TRAINED = StageFigures(
    name="train-a",
    seconds=90.0,
    chips=60,
    chip_hours=1.5,
    tokens=12_345,
    counts={"steps": 2, "trainedTokens": 12_000},
    rejected={"StudentTemplateRefused": 3},
    metrics={"loss": 2.5},
    versions={"jax": "1"},
    curve=CURVE,
)
SAMPLE = Sample(7, prompt_of("Why?"), "Because it rains.", "Hm.", "Because it snows.")


def facts(**changes: Any) -> ReportFacts:
    """Those of one training stage that has passed its gate."""
    members: dict[str, Any] = {
        "job": JobIdentity(namespace="ml", name="one"),
        "date": "2026-03-01T09:05:00Z",
        "sources": SourceNames(teacher="big", student="small", dataset="rows"),
        "spec": {"teacher": {"source": {"path": "big"}}},
        "gate": Gate(threshold=0.2, value=0.25, passed=True),
        "scores": [BEFORE, AFTER],
        "teacher": ModelScore(name="teacher", cross_entropy=1.0, perplexity=2.72, kl=0.0, top1_agreement=1.0),
        "answers": [
            AnswerFigures(name="teacher", answers=1, median_tokens=17, p90_tokens=17, ends_by_itself=1, repetition=0),
            AnswerFigures(name="before", answers=1, median_tokens=48, p90_tokens=48, ends_by_itself=0, repetition=0.98),
            AnswerFigures(name="a", answers=1, median_tokens=17, p90_tokens=17, ends_by_itself=1, repetition=0),
        ],
        "answer_limit": 48,
        "teacher_size": ModelSize(parameters=200_000_000, bytes=400_000_000),
        "student_size": ModelSize(parameters=50_000_000, bytes=100_000_000),
        "stages": [TRAINED],
        "rows": RowCounts(scored=24, scored_tokens=900, teacher_tokens=900),
        "versions": {"jax": "1"},
        **changes,
    }
    return ReportFacts(**members)
