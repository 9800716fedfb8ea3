"""What the evaluation knows of a distillation, as the facts that the report shows."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from distillation_api import reasons
from distillation_api.contract import (
    JOB_ENV,
    AnswerFigures,
    Gate,
    JobIdentity,
    ModelScore,
    ModelSize,
    ReportFacts,
    RowCounts,
    SourceNames,
    StageFigures,
)
from distillation_stages.data.licences import LICENSE
from distillation_stages.data.stage_facts import StageFacts
from distillation_stages.models.weights import parameters_of
from distillation_stages.programs.evaluate.answers import TEACHER, Comparison
from distillation_stages.programs.evaluate.curves import curve_of
from distillation_stages.runtime.failure import StageError

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Evaluation:
    """What the evaluation itself has found."""

    fingerprint: str
    spec: str
    """The job's, as JSON."""
    scores: Sequence[Mapping[str, Any]]
    """As ``scores.json`` has them: the first is the student before, the last the one after."""
    teacher: Mapping[str, Any] | None
    """The teacher's own, likewise."""
    no_kl_because: str | None
    answers: Comparison
    gate: Gate | None
    counts: Mapping[str, int]
    seconds: float
    teacher_size: ModelSize
    student_size: ModelSize


def facts_of(found: Evaluation, stages: Sequence[StageFacts]) -> ReportFacts:
    """The facts of this moment. ``stages``: those before the evaluation, in dataflow order."""
    trained = [name for stage in stages if (name := StageFigures(name=stage.name).training_name) is not None]
    names = score_names([str(score["model"]) for score in found.scores], trained)
    scores = [_score(names[str(score["model"])], score) for score in found.scores]
    is_scored_throughout = len(scores) == len(trained) + 1
    figures, tokens = [], tokens_of(stages)
    for stage in stages:
        place = trained.index(name) if (name := StageFigures(name=stage.name).training_name) is not None else None
        around = None
        if place is not None and is_scored_throughout:
            around = scores[place].cross_entropy, scores[place + 1].cross_entropy
        figures.append(_figures(stage, tokens.get(stage.name), around))
    figures.append(_figures(StageFacts("evaluate", seconds=found.seconds, counts=found.counts)))
    spec = _json_object(found.spec)
    return ReportFacts(
        job=job_identity(os.environ.get(JOB_ENV, "")),
        date=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        fingerprint=found.fingerprint,
        sources=SourceNames(**{role: source_name(spec, role) for role in SourceNames.model_fields}),
        spec=spec,
        gate=found.gate,
        scores=scores,
        teacher=_score("teacher", found.teacher) if found.teacher is not None else None,
        no_kl_because=found.no_kl_because,
        answers=_answers(found.answers, names),
        answer_limit=found.answers.limit,
        degeneration=found.answers.degeneration,
        teacher_size=found.teacher_size,
        student_size=found.student_size,
        stages=figures,
        rows=_rows(figures, found.counts),
        versions=versions_of(figures),
    )


def job_identity(text: str) -> JobIdentity | None:
    """A job by ``NAMESPACE/NAME``; None where a program runs by hand, without one."""
    namespace, slash, name = text.partition("/")
    return JobIdentity(namespace=namespace, name=name) if slash and namespace and name else None


def score_names(models: Sequence[str], trained: Sequence[str]) -> dict[str, str]:
    """Models as facts name them: the student after everything bears the last training stage's name."""
    last = trained[-1] if trained and trained[-1] not in models else AFTER
    return {model: last if model == AFTER else model for model in models}


def size_of(model: Path) -> ModelSize:
    """A model's size by its safetensors files; unknown where they can't be read."""
    try:
        return ModelSize(
            parameters=parameters_of(model), bytes=sum(path.stat().st_size for path in model.glob("*.safetensors"))
        )
    except (StageError, OSError, ValueError, KeyError, TypeError):
        return ModelSize()


def source_name(spec: Mapping[str, Any], role: str) -> str:
    """Where a model or the dataset comes from, in a word; empty where the spec doesn't tell."""
    source = _member(_member(spec, role), "source")
    names = _member(source, "huggingFace").get("repo"), _member(source, "gcs").get("uri"), source.get("path")
    return next((str(name) for name in names if name), "")


def versions_of(stages: Sequence[StageFigures]) -> dict[str, str]:
    """The stages' versions by name; where they differ, by name and stage."""
    values: dict[str, dict[str, str]] = {}
    for stage in stages:
        for name, value in stage.versions.items():
            values.setdefault(name, {})[stage.name] = value
    told = {}
    for name, by_stage in sorted(values.items()):
        # Of one source each, even where only one stage has any.
        if len(set(by_stage.values())) == 1 and name not in ("revision", LICENSE):
            told[name] = next(iter(by_stage.values()))
        else:
            told |= {f"{name} ({stage})": value for stage, value in by_stage.items()}
    return told


def _score(name: str, score: Mapping[str, Any]) -> ModelScore:
    return ModelScore(
        name=name,
        cross_entropy=score.get("crossEntropy"),
        perplexity=score.get("perplexity"),
        kl=score.get("kl"),
        top1_agreement=score.get("top1Agreement"),
    )


def _answers(answers: Comparison, names: Mapping[str, str]) -> list[AnswerFigures]:
    return [
        AnswerFigures(
            name="teacher" if model == TEACHER else names.get(model, model),
            answers=figures.answers,
            median_tokens=figures.median_tokens,
            p90_tokens=figures.p90_tokens,
            ends_by_itself=figures.ends_by_itself,
            repetition=figures.repetition,
        )
        for model, figures in answers.figures.items()
    ]


def _figures(
    stage: StageFacts, tokens: int | None = None, held_out: tuple[float | None, float | None] | None = None
) -> StageFigures:
    return StageFigures(
        name=stage.name,
        seconds=stage.seconds,
        chips=stage.chips,
        chip_hours=stage.chip_hours,
        idle_chip_hours=stage.idle_chip_hours,
        start_up=stage.start,
        tokens=tokens,
        counts={name: count for name, count in stage.counts.items() if not reasons.rejections({name: count})},
        rejected=reasons.rejections(stage.counts),
        metrics=dict(stage.metrics),
        versions=dict(stage.versions),
        curve=curve_of(stage.history, held_out) if StageFigures(name=stage.name).is_training else None,
    )


def tokens_of(stages: Sequence[StageFacts]) -> dict[str, int]:
    """The tokens of the stages that read or write any, by name. What a training sees its pack stage has counted."""
    tokens = {}
    for stage in stages:
        generated = [stage.counts[name] for name in ("promptTokens", "completionTokens") if name in stage.counts]
        if generated:
            tokens[stage.name] = sum(generated)
        elif stage.name.startswith(("pack-", "preview-pack-")) and "tokens" in stage.counts:
            tokens[stage.name.replace("pack-", "train-", 1)] = stage.counts["tokens"]
    return tokens


def _rows(stages: Sequence[StageFigures], scored: Mapping[str, int]) -> RowCounts:
    counts = {stage.name: stage.counts for stage in stages}
    prepared, generated = counts.get("prepare-dataset", {}), counts.get("generate", {})
    rejected: Counter[str] = Counter()
    for stage in stages:
        rejected.update(stage.rejected)
    return RowCounts(
        read=prepared.get("read"),
        train=prepared.get("train"),
        holdout=prepared.get("holdout"),
        answered=generated.get("kept"),
        scored=scored.get("rows"),
        scored_tokens=scored.get("tokens"),
        teacher_tokens=scored.get("klTokens"),
        rejected=dict(rejected),
    )


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _member(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    member = value.get(name)
    return member if isinstance(member, Mapping) else {}
