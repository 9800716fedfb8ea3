"""Evaluate: how well the student, before and after, predicts the teacher's answers to rows that training never saw."""

import json
import math
from dataclasses import dataclass, field

from distillation_operator.api.contract import EvaluateProgram, StageResult, StageSpec
from distillation_stages.conversations import Turn
from distillation_stages.environment import set_environment
from distillation_stages.failure import BadInput
from distillation_stages.rendering import Renderer
from distillation_stages.reporting import Reporter
from distillation_stages.scoring import Scored, Student
from distillation_stages.storage import Storage, publish_bytes
from distillation_stages.tables import Row, parts_of, read_rows

SAMPLES = 10
SAMPLE_TOKENS = 48


@dataclass(frozen=True)
class Holdout:
    """The rows to score, rendered once, so that both models see the same tokens."""

    rows: list[Row]
    scored: list[Scored]
    end: int
    """The token that ends an answer."""


@dataclass
class Measured:
    """What one model got."""

    cross_entropy: float
    """Nats per completion token."""
    answers: list[str] = field(default_factory=list)
    """Its own answers to the first ``SAMPLES`` prompts."""


def run(spec: StageSpec, storage: Storage) -> StageResult:
    """Score both models; see EvaluateProgram."""
    assert isinstance(spec.program, EvaluateProgram)
    program = spec.program
    set_environment()
    models = [storage.require_marker(stage).outputs["model"] for stage in (program.before, program.after)]
    directories = [storage.at(model) for model in models]
    rows = holdout_rows(program, storage)
    renderer = Renderer.load(directories[0])
    holdout = render(rows, renderer)
    reporter = Reporter(spec.stage, "rows")
    before, after = (
        _measure(Student(directory), holdout, renderer, reporter, position)
        for position, directory in enumerate(directories)
    )
    check_gate(before.cross_entropy, after.cross_entropy, program.min_cross_entropy_drop)
    samples = storage.workspace(spec.output) / "samples.json"
    publish_bytes(samples, json.dumps(_samples(holdout, before, after), ensure_ascii=False, indent=1).encode())
    result = StageResult(
        stage=spec.stage,
        fingerprint=spec.fingerprint,
        outputs={"samples": storage.relative(samples)},
        counts={"rows": len(rows), "tokens": sum(len(row.answer_ids) for row in holdout.scored)},
        metrics={
            "crossEntropyBefore": before.cross_entropy,
            "crossEntropyAfter": after.cross_entropy,
            "crossEntropyDrop": drop(before.cross_entropy, after.cross_entropy),
            "perplexityBefore": math.exp(before.cross_entropy),
            "perplexityAfter": math.exp(after.cross_entropy),
        },
    )
    storage.write_marker(spec.output, result)
    return result


def holdout_rows(program: EvaluateProgram, storage: Storage) -> list[Row]:
    """The teacher's answers to the holdout. Raises TryAgain for a shard not done, BadInput for no rows."""
    shards = [storage.require_marker(f"{program.completions}/shard-{index}") for index in range(program.shards)]
    parts = [part for shard in shards for part in parts_of(storage.at(shard.outputs["completions"]))]
    rows = [row for row in read_rows(parts) if row["split"] == "holdout"]
    if not rows:
        raise BadInput(
            "NoHoldoutRows",
            f"{program.completions} has no answers to holdout rows, so nothing can be scored: set a holdout, or look "
            "at what generation rejected (its counts)",
        )
    return rows


def render(rows: list[Row], renderer: Renderer) -> Holdout:
    """The rows' tokens with the student's own template."""
    end = renderer.end_of_turn()
    return Holdout(rows, [_scored(row, renderer, end) for row in rows], end)


def drop(before: float, after: float) -> float:
    """How much lower the cross-entropy is, relative to before."""
    return (before - after) / before if before else 0.0


def check_gate(before: float, after: float, required: float | None) -> None:
    """Raises BadInput when the student hasn't improved as much as required."""
    if required is not None and drop(before, after) < required:
        raise BadInput(
            "EvaluationGateFailed",
            f"cross-entropy went from {before:.4f} to {after:.4f} nats per token, a drop of "
            f"{drop(before, after):.2%}; minCrossEntropyDrop asks for {required:.2%}",
        )


def _scored(row: Row, renderer: Renderer, end: int) -> Scored:
    prompt: list[Turn] = row["prompt"]
    answer = renderer.token_ids(row["completion"])
    # An answer that was cut off has no end to predict.
    return Scored(renderer.prompt_ids(prompt), answer if row["finishReason"] == "length" else [*answer, end])


def _measure(student: Student, holdout: Holdout, renderer: Renderer, reporter: Reporter, position: int) -> Measured:
    """``position``: 0 for the model before, 1 for the one after. Raises BadInput when the score is no number."""
    total = len(holdout.rows)
    measured = Measured(
        student.cross_entropy(holdout.scored, lambda done: reporter.progress(position * total + done, 2 * total))
    )
    if not math.isfinite(measured.cross_entropy):
        which = ("before", "after")[position]
        raise BadInput("ScoreNotFinite", f"the cross-entropy {which} is {measured.cross_entropy}: the model is broken")
    prompts = [row.prompt_ids for row in holdout.scored[:SAMPLES]]
    measured.answers.extend(renderer.text(ids) for ids in student.answers(prompts, SAMPLE_TOKENS, holdout.end))
    return measured


def _samples(holdout: Holdout, before: Measured, after: Measured) -> list[dict[str, object]]:
    return [
        {"row": row["row"], "prompt": row["prompt"], "teacher": row["completion"], "before": old, "after": new}
        for row, old, new in zip(holdout.rows, before.answers, after.answers, strict=False)
    ]
