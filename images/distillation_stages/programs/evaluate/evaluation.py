"""Evaluate: how well the student, before, between and after, does on the teacher's answers to rows it never saw."""

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

from distillation_api import reasons
from distillation_api.contract import FACTS_NAME, EvaluateProgram, Gate, Measurements, ModelSize, StageResult, StageSpec
from distillation_stages.data.stage_facts import StageFacts
from distillation_stages.data.tables import Row, read_rows, unchanged_parts
from distillation_stages.data.tool_use import restored
from distillation_stages.data.tools import uses_tools
from distillation_stages.models.model_directory import model_of
from distillation_stages.models.rendering import Renderer
from distillation_stages.models.tool_rendering import left_out
from distillation_stages.models.vocabularies import check_sizes, check_tokens, load_tokenizer, vocabulary_size
from distillation_stages.programs.evaluate.answers import TEACHER, Answer, Comparison, limit_for
from distillation_stages.programs.evaluate.facts import AFTER, BEFORE, Evaluation, facts_of, size_of
from distillation_stages.programs.evaluate.report import render_report
from distillation_stages.programs.evaluate.samples import Sample
from distillation_stages.programs.evaluate.scoring import LanguageModel, Reference, Score, Scored, weight_bytes
from distillation_stages.runtime.environment import available_memory, set_environment
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.measuring import measured as measurements
from distillation_stages.runtime.reporting import Reporter, say
from distillation_stages.runtime.storage import Storage, publish_bytes

SAMPLES = 16
"""Prompts that each student answers: few, since it answers on a CPU."""

CUT = "length"
"""The ``finishReason`` of an answer that was cut off at its limit."""

REFERENCE_TOKENS = 4096
"""Answer tokens at which the teacher's whole distribution is taken: enough for a mean, and few enough for a disk."""


@dataclass(frozen=True)
class Holdout:
    """The rows to score, rendered once, so that all models see the same tokens."""

    rows: list[Row]
    scored: list[Scored]
    end: int
    """The token that ends an answer."""
    not_rendered: int = 0
    """Rows with tools that the student's template doesn't take: they aren't scored."""

    def sampled(self) -> list[Answer]:
        """The teacher's answers to the first ``SAMPLES`` prompts, in the student's tokens."""
        ended = [row["finishReason"] != CUT for row in self.rows[:SAMPLES]]
        return [
            Answer(scored.answer_ids[:-1] if whole else scored.answer_ids, whole)
            for scored, whole in zip(self.scored, ended, strict=False)
        ]


@dataclass
class Measured:
    """What one model got."""

    score: Score
    answers: list[Answer] = field(default_factory=list)
    """Its own answers to the first ``SAMPLES`` prompts."""


def run(spec: StageSpec, storage: Storage) -> StageResult:
    """Score the models, write the report, then judge by the gate; see EvaluateProgram."""
    assert isinstance(spec.program, EvaluateProgram)
    program, started = spec.program, time.monotonic()
    set_environment()
    stages = {BEFORE: program.before, **program.between, AFTER: program.after}
    models = {name: model_of(storage, stage, whole=True) for name, stage in stages.items()}
    rows = holdout_rows(program, storage)
    renderer = Renderer.load(models[BEFORE], program.chat_template, program.chat_template_arguments)
    holdout = render(rows, renderer)
    answered = holdout.sampled()
    work = _Work(spec.stage, holdout, limit_for(answered), total=(len(models) + 1) * len(holdout.rows))
    reference, apart = _reference(program, storage, models[BEFORE], work)
    measured = {name: work.measure(name, directory, reference) for name, directory in models.items()}
    workspace = storage.workspace(spec.output)
    scores = [score_as_json(name, one.score) for name, one in measured.items()]
    outputs = {"samples": workspace / "samples.json", "scores": workspace / "scores.json"}
    answers = Comparison.of(work.answer_tokens, answered, {name: one.answers for name, one in measured.items()})
    samples = _samples(holdout, measured[BEFORE], measured[AFTER], renderer)
    publish_bytes(outputs["samples"], _json([vars(sample) for sample in samples]))
    compared = {"models": scores, "noKlBecause": apart, "answers": answers.as_json()}
    teacher = score_as_json("teacher", own) if (own := reference.score if reference else None) is not None else None
    publish_bytes(outputs["scores"], _json(compared | ({"teacher": teacher} if teacher is not None else {})))
    verdict = gate(measured[BEFORE].score, measured[AFTER].score, program.min_cross_entropy_drop)
    counts = _counts(holdout, reference)
    found = Evaluation(
        fingerprint=spec.fingerprint,
        spec=program.spec,
        scores=scores,
        teacher=teacher,
        no_kl_because=apart,
        answers=answers,
        gate=gate_of(measured[BEFORE].score, measured[AFTER].score, program.min_cross_entropy_drop),
        counts=counts,
        seconds=round(time.monotonic() - started, 1),
        teacher_size=size_of(model_of(storage, program.teacher)) if program.teacher is not None else ModelSize(),
        student_size=size_of(models[AFTER]),
    )
    facts = facts_of(found, [StageFacts.read(stage, storage) for stage in program.reported])
    outputs |= {"facts": workspace / FACTS_NAME, "report": workspace / "report.html"}
    publish_bytes(outputs["facts"], _json(facts.to_json_dict()))
    publish_bytes(outputs["report"], render_report(facts, samples).encode())
    told = {name: storage.relative(path) for name, path in outputs.items()}
    metrics = metrics_of(measured[BEFORE].score, measured[AFTER].score)
    metrics |= answers.metrics({TEACHER: "Teacher", BEFORE: "Before", AFTER: "After"})
    if verdict is not None:
        raise StageError(
            reasons.EVALUATION_GATE_FAILED,
            f"{verdict}. The report is {told['report']} in the storage",
            outputs=told,
            metrics=metrics,
        )
    result = StageResult(
        stage=spec.stage,
        fingerprint=spec.fingerprint,
        outputs=told,
        counts=counts,
        metrics=metrics | (work.measured().metrics() if program.measures else {}),
        seconds=round(time.monotonic() - started, 1),
    )
    storage.write_marker(spec.output, result)
    return result


@dataclass
class _Work:
    """Scoring of one model after the other, and its progress."""

    stage: str
    holdout: Holdout
    answer_tokens: int
    """What a student gets for an answer of its own."""
    total: int
    done: int = 0
    seconds: float = 0.0
    """Of the scores, without loading and without answers, of which there are no more with more rows."""

    def __post_init__(self) -> None:
        self._reporter = Reporter(self.stage, "rows")

    def progress(self, rows: int) -> None:
        """So many rows of the model at hand are done."""
        self._reporter.progress(self.done + rows, self.total)

    def measure(self, name: str, directory: Path, reference: Reference | None) -> Measured:
        """Raises StageError when the score is no number."""
        model, started = LanguageModel(directory), time.monotonic()
        measured = Measured(model.score(self.holdout.scored, reference, self.progress))
        self.seconds += time.monotonic() - started
        self.done += len(self.holdout.rows)
        if not math.isfinite(measured.score.cross_entropy):
            raise StageError(
                reasons.SCORE_NOT_FINITE,
                f"the cross-entropy {name} is {measured.score.cross_entropy}: the model is broken",
            )
        prompts = [row.prompt_ids for row in self.holdout.scored[:SAMPLES]]
        measured.answers.extend(model.answers(prompts, self.answer_tokens, self.holdout.end))
        return measured

    def measured(self) -> Measurements:
        """What one row has taken, with all models."""
        return measurements(len(self.holdout.rows), self.seconds / len(self.holdout.rows))


def _reference(
    program: EvaluateProgram, storage: Storage, student: Path, work: _Work
) -> tuple[Reference | None, str | None]:
    """The teacher's distributions, or why there are none."""
    if program.teacher is None:
        return None, "no teacher is named"
    teacher = model_of(storage, program.teacher)
    apart = not_comparable_reason(teacher, student)
    if apart is None:
        rows = reference_rows(work.holdout.scored)
        teacher = model_of(storage, program.teacher, whole=True)
        model, started = LanguageModel(teacher), time.monotonic()
        reference: Reference | None = model.refer(rows, work.progress)
        work.seconds += time.monotonic() - started
    else:
        reference = None
        say(f"no KL to the teacher: {apart}")
    work.done += len(work.holdout.rows)
    return reference, apart


def not_comparable_reason(teacher: Path, student: Path) -> str | None:
    """Why the student's distributions can't be compared with the teacher's; None when they can."""
    need, free = weight_bytes(teacher), available_memory()
    if free is not None and need > free:
        return (
            f"the teacher's weights are {need / 1e9:.1f} GB, free memory is {free / 1e9:.1f} GB; give "
            "evaluation.resources more memory"
        )
    try:
        check_sizes(vocabulary_size(teacher), vocabulary_size(student))
        check_tokens(load_tokenizer(teacher), load_tokenizer(student))
    except StageError as error:
        if not error.reason.is_final:
            raise
        return error.message
    return None


def reference_rows(rows: list[Scored], tokens: int = REFERENCE_TOKENS) -> list[Scored]:
    """The first rows, at least one, with at most ``tokens`` answer tokens."""
    chosen: list[Scored] = []
    for row in rows:
        tokens -= len(row.answer_ids)
        if chosen and tokens < 0:
            break
        chosen.append(row)
    return chosen


def holdout_rows(program: EvaluateProgram, storage: Storage) -> list[Row]:
    """The teacher's answers to the holdout. Raises StageError for a shard not done, or for no rows."""
    shards = [f"{program.completions}/shard-{index}" for index in range(program.shards)]
    parts = [part for shard in shards for part in unchanged_parts(storage, shard, "completions")]
    rows = [row for row in read_rows(parts) if row["split"] == "holdout"]
    if not rows:
        raise StageError(
            reasons.NO_HOLDOUT_ROWS,
            f"{program.completions} has no answers to holdout rows, so nothing can be scored: set a holdout, or look "
            "at what generation rejected (its counts)",
        )
    return rows


def render(rows: list[Row], renderer: Renderer) -> Holdout:
    """The rows' tokens with the student's own template. Raises StageError when it takes none of them."""
    end = renderer.end_of_turn()
    taken = [row for row in rows if _is_taken(row, renderer)]
    if not taken:
        raise StageError(
            reasons.NO_HOLDOUT_ROWS,
            f"the student's chat template leaves out the tools of all {len(rows)} holdout rows, so nothing can be "
            "scored: give one that renders them in student.chatTemplate",
        )
    return Holdout(taken, [_scored(row, renderer, end) for row in taken], end, len(rows) - len(taken))


def _is_taken(row: Row, renderer: Renderer) -> bool:
    """Whether the student's template renders the tools of the row, where it has some, as training's rows must be."""
    asked = restored(row)
    if not uses_tools(asked.prompt, asked.tools):
        return True
    try:
        renderer.prompt_ids(asked.prompt, asked.tools)
    except Exception:  # Templates raise whatever they like.
        return False
    return left_out(renderer.tokenizer, asked.prompt, asked.tools, add_generation_prompt=True) is None


def drop(before: Score, after: Score) -> float:
    """How much lower the cross-entropy is, relative to before."""
    return (before.cross_entropy - after.cross_entropy) / before.cross_entropy if before.cross_entropy else 0.0


def gate(before: Score, after: Score, required: float | None) -> str | None:
    """Why the student doesn't pass: it hasn't improved as much as required. None when it passes."""
    if required is None or drop(before, after) >= required:
        return None
    return (
        f"cross-entropy went from {before.cross_entropy:.4f} to {after.cross_entropy:.4f} nats per token, a drop of "
        f"{drop(before, after):.2%}; minCrossEntropyDrop asks for {required:.2%}"
    )


def gate_of(before: Score, after: Score, required: float | None) -> Gate | None:
    """The gate as facts have it; None where nothing is required."""
    if required is None:
        return None
    reached = drop(before, after)
    return Gate(threshold=required, value=reached, passed=reached >= required)


def score_as_json(name: str, score: Score) -> dict[str, str | float]:
    """A model's score as ``scores.json`` has it."""
    told: dict[str, str | float] = {
        "model": name,
        "crossEntropy": score.cross_entropy,
        "perplexity": perplexity(score),
    }
    if score.kl is not None and score.top1_agreement is not None:
        told |= {"kl": score.kl, "top1Agreement": score.top1_agreement}
    return told


def perplexity(score: Score) -> float:
    """Of the answers, by their cross-entropy."""
    return math.exp(min(score.cross_entropy, 700.0))


def metrics_of(before: Score, after: Score) -> dict[str, float]:
    """What the stage's result says."""
    metrics = {"crossEntropyDrop": drop(before, after)}
    for when, score in (("Before", before), ("After", after)):
        told = score_as_json(when, score)
        metrics |= {f"{name}{when}": float(value) for name, value in told.items() if name != "model"}
    return metrics


def _counts(holdout: Holdout, reference: Reference | None) -> dict[str, int]:
    counts = {"rows": len(holdout.rows), "tokens": sum(len(row.answer_ids) for row in holdout.scored)}
    refused = {reasons.STUDENT_TEMPLATE_REFUSED: holdout.not_rendered} if holdout.not_rendered else {}
    return counts | ({"klTokens": reference.tokens} if reference else {}) | reasons.rejected_counts(refused)


def _scored(row: Row, renderer: Renderer, end: int) -> Scored:
    asked = restored(row)
    answer = renderer.token_ids(row["completion"])
    # An answer that was cut off has no end to predict.
    return Scored(
        renderer.prompt_ids(asked.prompt, asked.tools), answer if row["finishReason"] == CUT else [*answer, end]
    )


def _samples(holdout: Holdout, before: Measured, after: Measured, renderer: Renderer) -> list[Sample]:
    return [
        Sample(
            row["row"], restored(row).prompt, row["completion"], renderer.text(old.tokens), renderer.text(new.tokens)
        )
        for row, old, new in zip(holdout.rows, before.answers, after.answers, strict=False)
    ]


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=1).encode()
