"""What there is to say of runs in numbers: one figure for each number, with the value of every run."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from distillation_operator.commands.compare.run import AFTER, BEFORE, TEACHER, Run
from distillation_operator.commands.compare.scored_tokens import teacher_has_all
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.words import decimal, duration, share, whole

Better = Literal["less", "more"]
SCORES, TRAINING, COST = "Scores, held out", "Training", "Tokens, time and cost"

MAIN = (
    "crossEntropyBefore", "crossEntropyAfter", "crossEntropyDrop", "klAfter", "top1AgreementAfter", "seconds",
    "workSeconds", "chipHours", "workChipHours",
)  # fmt: skip
"""Keys of the figures that are shown first where there is no room for all."""

Values = Sequence[float | None]


@dataclass(frozen=True)
class Figure:
    """One number of each run."""

    key: str
    """What ``--sort`` and the JSON call it."""
    section: str
    label: str
    values: Values
    """None where a run doesn't tell it."""
    form: Callable[[float], str]
    better: Better = "less"
    marks_best: bool = True
    """Whether the best value says anything: that of a student before training doesn't."""
    is_main: bool = True
    """Whether a terminal shows it."""
    is_open: Sequence[bool] = ()
    """For each run whether the value still grows; empty where none does."""

    def text(self, run: int) -> str | None:
        """The value of a run for people; None where there is none."""
        value = self.values[run]
        if value is None:
            return None
        return f"{self.form(value)} so far" if self.is_open and self.is_open[run] else self.form(value)

    @property
    def common(self) -> str | None:
        """The text that all runs have; None where they differ."""
        texts = {self.text(run) for run in range(len(self.values))}
        return texts.pop() if len(texts) == 1 else None

    @property
    def best(self) -> frozenset[int]:
        """The runs with the best value, as far as it is shown; none where all are alike, or only one has a value."""
        finite = {
            run: value
            for run, value in enumerate(self.values)
            if value is not None and math.isfinite(value) and not (self.is_open and self.is_open[run])
        }
        if not self.marks_best or len({self.text(run) for run in finite}) < 2:
            return frozenset()
        wanted = self.form((min if self.better == "less" else max)(finite.values()))
        return frozenset(run for run, value in finite.items() if self.form(value) == wanted)


@dataclass(frozen=True)
class _Metric:
    key: str
    label: str
    form: Callable[[float], str]
    better: Better | None
    is_of_answers: bool = False
    is_to_teacher: bool = False
    """Of which the teacher's own value says nothing."""


_METRICS = (
    _Metric("crossEntropy", "cross-entropy", decimal, "less"),
    _Metric("kl", "KL to the teacher", decimal, "less", is_to_teacher=True),
    _Metric("top1Agreement", "top-1 agreement", share, "more", is_to_teacher=True),
    _Metric("endsByItself", "answers that end by themselves", share, "more", is_of_answers=True),
    _Metric("repetition", "repetition within answers", share, "less", is_of_answers=True),
    _Metric("answerTokens", "median tokens of answers", whole, None, is_of_answers=True),
)
_SUFFIXES = {BEFORE: "Before", AFTER: "After", TEACHER: "Teacher"}


def figures(runs: Sequence[Run]) -> list[Figure]:
    """All that at least one run tells, in the order in which they are shown."""
    everything = [*_scores(runs), *_training(runs), *_cost(runs)]
    return [figure for figure in everything if any(value is not None for value in figure.values)]


def without_best_scores(figures: Sequence[Figure]) -> list[Figure]:
    """The same figures, where no score of a run says that it is the best."""
    return [replace(figure, marks_best=False) if figure.section == SCORES else figure for figure in figures]


def in_order(runs: Sequence[Run], key: str | None) -> list[Run]:
    """The runs with the best first by one figure, those without it last; as they were given without a key. Raises
    CommandError for a key that no run has.
    """
    if key is None:
        return list(runs)
    known = {figure.key: figure for figure in figures(runs)}
    if key not in known:
        raise CommandError(f"--sort {key}: no run has it; there are {', '.join(known) or 'no figures at all'}")
    figure = known[key]

    def place(run: int) -> tuple[bool, float]:
        value = figure.values[run]
        if value is None or math.isnan(value):
            return True, 0.0
        return False, value if figure.better == "less" else -value

    return [runs[run] for run in sorted(range(len(runs)), key=place)]


def _scores(runs: Sequence[Run]) -> Iterable[Figure]:
    for metric in _METRICS:
        of_runs = [run.scores.get(metric.key, {}) for run in runs]
        for model in _models(of_runs):
            if model == TEACHER and metric.is_to_teacher:
                continue
            is_result = model not in (BEFORE, TEACHER)
            values = [scores.get(model) for scores in of_runs]
            label = f"{metric.label}, {model}"
            if metric.key == "crossEntropy" and model == TEACHER:
                is_whole = teacher_has_all(runs, [value is not None for value in values])
                label = label if is_whole else f"{label} (part of the tokens)"
            yield Figure(
                key=f"{metric.key}{_SUFFIXES.get(model) or '/' + model.removeprefix('after ')}",
                section=SCORES,
                label=label,
                values=values,
                form=metric.form,
                better=metric.better or "less",
                marks_best=is_result and metric.better is not None,
                is_main=not metric.is_of_answers or model == AFTER,
            )
        if metric.key == "crossEntropy":
            drops = [_drop(run) for run in runs]
            yield Figure("crossEntropyDrop", SCORES, "cross-entropy, relative drop", drops, share, "more")


def _drop(run: Run) -> float | None:
    scores = run.scores.get("crossEntropy", {})
    before, after = scores.get(BEFORE), scores.get(AFTER)
    if run.drop is not None or before is None or after is None or not before > 0:
        return run.drop
    return 1 - after / before


def _models(scores: Sequence[Mapping[str, float]]) -> list[str]:
    """Before, what lies between in its order, after, and the teacher."""
    between = dict.fromkeys(model for of_run in scores for model in of_run if model not in _SUFFIXES)
    present = {model for of_run in scores for model in of_run}
    return [model for model in (BEFORE, *between, AFTER, TEACHER) if model in present]


def _training(runs: Sequence[Run]) -> Iterable[Figure]:
    for stage in dict.fromkeys(stage for run in runs for stage in run.losses):
        # What a loss is depends on the objective and the data: the least one need not be the best run.
        values = [run.losses.get(stage) for run in runs]
        yield Figure(f"loss/{stage}", TRAINING, f"last loss, {stage}", values, decimal, marks_best=False)


def _cost(runs: Sequence[Run]) -> Iterable[Figure]:
    def figure(key: str, label: str, values: Iterable[float | None], form: Callable[[float], str]) -> Figure:
        return Figure(key, COST, label, list(values), form, marks_best=False)

    yield figure("generatedTokens", "tokens of the teacher", (run.generated_tokens for run in runs), whole)
    for stage in dict.fromkeys(stage for run in runs for stage in run.trained_tokens):
        tokens = (run.trained_tokens.get(stage) for run in runs)
        yield figure(f"tokens/{stage}", f"tokens, {stage}", tokens, whole)
    elapsed = figure("seconds", "time, start to end", (run.seconds for run in runs), duration)
    yield replace(elapsed, is_open=[not run.seconds_are_final for run in runs])
    yield figure("workSeconds", "time of the stages, added up", (run.work_seconds for run in runs), duration)
    chips = figure("chipHours", "chip-hours", (run.chip_hours for run in runs), decimal)
    yield replace(chips, is_open=[not run.seconds_are_final for run in runs])
    of_work = (run.work_chip_hours for run in runs)
    yield figure("workChipHours", "chip-hours of the stages, added up", of_work, decimal)
