"""A run from the facts of a report, and a run of which the status is known too with what these tell beyond that."""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from distillation_api import reasons
from distillation_api.contract import FACTS_NAME, ReportFacts
from distillation_api.contract.report_facts import Curve as ToldCurve
from distillation_operator.commands.compare.run import AFTER, BEFORE, EVALUATED, TEACHER, Curve, Run, StageRow
from distillation_operator.commands.compare.status_reading import GENERATION, PACKING, TRAINING
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.paths import read_text

LOSS, KL = "loss", "KL to the teacher"
"""What is drawn of a training stage."""


def read_facts(path: Path) -> ReportFacts:
    """The facts in a file. Raises CommandError that names it."""
    try:
        return ReportFacts.model_validate(json.loads(read_text(path)))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"])) or "the file"
        raise CommandError(
            f"{path} isn't {FACTS_NAME} of a report: {where}: {fault['msg']}; give the folder that evaluate has written"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is not JSON: {error}; is it half copied?") from error


def run_of_facts(facts: ReportFacts, name: str, origin: str) -> Run:
    """The run, as far as its report tells of it. ``name``: of one whose report doesn't."""
    missed_gate = facts.gate is not None and not facts.gate.passed
    run = Run(
        name=facts.job.name if facts.job else name,
        namespace=facts.job.namespace if facts.job else None,
        uid="",
        origin=origin,
        phase="Failed" if missed_gate else EVALUATED,
        trouble=reasons.EVALUATION_GATE_FAILED.name if missed_gate else "",
        spec=facts.spec or None,
        spec_is_whole=False,
        stages=[
            StageRow(stage.name, "Complete", work_seconds=stage.seconds, work_chip_hours=stage.chip_hours)
            for stage in facts.stages
        ],
    )
    return with_facts(run, facts)


def with_facts(run: Run, facts: ReportFacts) -> Run:
    """The run with scores of all models, curves, and what of the rest it didn't know."""
    scores = {metric: dict(values) for metric, values in run.scores.items()}
    for metric, model, value in _scores(facts):
        scores.setdefault(metric, {})[model] = value
    generation = next((stage for stage in facts.stages if stage.name == GENERATION), None)
    trained = {stage.name: stage for stage in facts.stages if stage.is_training}
    losses = {name: last for name, stage in trained.items() if (last := stage.metrics.get("loss")) is not None}
    packed = {stage.name: stage.counts.get("tokens") for stage in facts.stages}
    told = {
        name: stage.tokens or packed.get(f"{PACKING}{name.removeprefix(TRAINING)}") for name, stage in trained.items()
    }
    tokens = {name: count for name, count in told.items() if count is not None and _is_number(count)}
    generated = generation.counts.get("completionTokens") if generation is not None else None
    return replace(
        run,
        scores=scores,
        drop=_drop(facts, run.drop),
        scored_tokens=facts.rows.scored_tokens or run.scored_tokens,
        teacher_tokens=facts.rows.teacher_tokens or run.teacher_tokens,
        losses=(run.losses if "training" not in run.losses else {}) or losses,
        curves={name: curves(stage.curve) for name, stage in trained.items() if stage.curve is not None},
        generated_tokens=(generated if _is_number(generated) else None)
        if run.generated_tokens is None
        else run.generated_tokens,
        trained_tokens=run.trained_tokens or tokens,
        work_seconds=facts.seconds,
        # 0 is no chips: a status doesn't tell it of its own either.
        work_chip_hours=facts.chip_hours or None,
    )


def curves(told: ToldCurve) -> dict[str, Curve]:
    """Those that have points."""
    drawn = {LOSS: _points(told.steps, told.loss), KL: _points(told.steps, told.kl_to_teacher)}
    return {name: points for name, points in drawn.items() if points}


def history_curves(path: Path) -> dict[str, Curve]:
    """Those of a training stage's own record of its steps, without lines that aren't whole. Raises CommandError."""
    steps: list[dict[str, Any]] = []
    for line in read_text(path).splitlines():
        try:
            step = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(step, dict):
            steps.append(step)
    numbers = [step.get("step") for step in steps]
    drawn = {
        LOSS: _points(numbers, [step.get("loss") for step in steps]),
        KL: _points(numbers, [step.get("klToTeacher") for step in steps]),
    }
    return {name: points for name, points in drawn.items() if points}


def _points(steps: Iterable[Any], values: Iterable[Any]) -> Curve:
    """Of two lists, of which the second may be shorter, the pairs of finite numbers; of a repeated step the last."""
    found: dict[float, float] = {}
    for step, value in zip(steps, values, strict=False):
        if _is_number(step) and _is_number(value):
            found[float(step)] = float(value)
    return sorted(found.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _scores(facts: ReportFacts) -> Iterable[tuple[str, str, float]]:
    """Metric, model and value."""
    last = len(facts.scores) - 1
    names = {score.name: _model(score.name, number, last) for number, score in enumerate(facts.scores)}
    told = [(names[score.name], score) for score in facts.scores]
    for model, score in [*told, *([(TEACHER, facts.teacher)] if facts.teacher is not None else [])]:
        values = {
            "crossEntropy": score.cross_entropy,
            "perplexity": score.perplexity,
            "kl": score.kl,
            "top1Agreement": score.top1_agreement,
        }
        yield from ((metric, model, value) for metric, value in values.items() if value is not None)
    for answers in facts.answers:
        figures: Mapping[str, float | None] = {
            "endsByItself": answers.ends_by_itself,
            "repetition": answers.repetition,
            "answerTokens": answers.median_tokens,
        }
        model = names.get(answers.name, answers.name)
        yield from ((metric, model, value) for metric, value in figures.items() if value is not None)


def _model(name: str, number: int, last: int) -> str:
    if number == 0:
        return BEFORE
    return AFTER if number == last else f"after {name.removeprefix(TRAINING)}"


def _drop(facts: ReportFacts, known: float | None) -> float | None:
    before, after = facts.before.cross_entropy, facts.after.cross_entropy
    if known is not None or before is None or after is None or before <= 0 or len(facts.scores) < 2:
        return known
    return 1 - after / before
