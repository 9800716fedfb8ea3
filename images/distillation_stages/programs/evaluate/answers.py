"""Figures of answers: how long they are, whether they end by themselves, how much they repeat."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TEACHER = "the teacher"
"""Its name among the students', with a space, which no name of a training stage has."""

GRAM = 4
"""Tokens of an n-gram: short enough for answers of one sentence, long enough that prose hardly repeats one."""

LEAST_TOKENS, MOST_TOKENS = 48, 256
"""Bounds of the length up to which answers are taken: they are made on a CPU."""

ENDING_TEACHER = 0.5
"""From this share of the teacher's answers that end by themselves on, a student is expected to end its own."""

ENDING_STUDENT = 0.5
"""Below this share of the teacher's share, the student doesn't."""

REPETITION_ABOVE = 0.25
"""So much above the teacher's share of repeated n-grams, a student repeats itself: greedy answers repeat somewhat more
than sampled ones."""


@dataclass(frozen=True)
class Answer:
    """A model's answer, without the token that ends it."""

    tokens: list[int]
    ended: bool
    """By itself, not at a limit."""

    def up_to(self, limit: int) -> "Answer":
        """As it were had it been given ``limit`` tokens, the one that ends it among them."""
        return Answer(self.tokens[:limit], self.ended and len(self.tokens) < limit)


@dataclass(frozen=True)
class Figures:
    """Of the answers of one model."""

    answers: int
    median_tokens: float
    p90_tokens: float
    """The 90th percentile: nine of ten answers are no longer."""
    ends_by_itself: float
    """Share of the answers."""
    repetition: float
    """Mean over the answers of 1 - distinct n-grams / n-grams, where an answer shorter than one has 0."""


def limit_for(teacher: Sequence[Answer]) -> int:
    """Tokens that a student gets for an answer: a quarter more than the longest of the teacher's."""
    longest = max((len(answer.tokens) for answer in teacher), default=0)
    return min(MOST_TOKENS, max(LEAST_TOKENS, math.ceil(1.25 * longest)))


def figures_of(answers: Sequence[Answer]) -> Figures | None:
    """None when there are no answers."""
    if not answers:
        return None
    lengths = sorted(len(answer.tokens) for answer in answers)
    return Figures(
        answers=len(answers),
        median_tokens=float(statistics.median(lengths)),
        p90_tokens=float(lengths[math.ceil(9 * len(lengths) / 10) - 1]),
        ends_by_itself=sum(answer.ended for answer in answers) / len(answers),
        repetition=statistics.fmean(repetition(answer.tokens) for answer in answers),
    )


def repetition(tokens: Sequence[int]) -> float:
    """The share of n-grams that stood before in the same answer."""
    grams = [tuple(tokens[first : first + GRAM]) for first in range(len(tokens) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def degeneration(teacher: Figures | None, student: Figures | None) -> str | None:
    """In what the student's answers are far worse than the teacher's; None when in nothing."""
    if teacher is None or student is None:
        return None
    differences = []
    if student.median_tokens == 0 < teacher.median_tokens:
        differences.append("half of its answers or more are empty")
    if ENDING_TEACHER <= teacher.ends_by_itself > student.ends_by_itself / ENDING_STUDENT:
        differences.append(
            f"{student.ends_by_itself:.0%} of its answers end by themselves, of the teacher's "
            f"{teacher.ends_by_itself:.0%}"
        )
    if student.repetition >= teacher.repetition + REPETITION_ABOVE:
        differences.append(
            f"{student.repetition:.0%} of its {GRAM}-grams are repeated, of the teacher's {teacher.repetition:.0%}"
        )
    return "; ".join(differences) or None


@dataclass(frozen=True)
class Comparison:
    """The answers of the teacher and of each student to the same prompts."""

    limit: int
    """Tokens up to which answers were taken."""
    figures: Mapping[str, Figures]
    """By model, the teacher first; a model without answers is left out."""
    degeneration: str | None
    """In what the last student's answers are far worse than the teacher's; None when in nothing."""

    @staticmethod
    def of(limit: int, teacher: Sequence[Answer], students: Mapping[str, Sequence[Answer]]) -> "Comparison":
        """``students``: in order, the last the one after all training. The teacher's answers are cut like theirs."""
        answers = {TEACHER: [answer.up_to(limit) for answer in teacher], **students}
        figures = {name: found for name, its in answers.items() if (found := figures_of(its)) is not None}
        last = next(reversed(answers))
        return Comparison(limit, figures, degeneration(figures.get(TEACHER), figures.get(last)))

    def as_json(self) -> dict[str, object]:
        """As ``scores.json`` has it."""
        models = [figures_as_json(name, figures) for name, figures in self.figures.items()]
        return {"limit": self.limit, "models": models, "degeneration": self.degeneration}

    def metrics(self, names: Mapping[str, str]) -> dict[str, float]:
        """As a stage's result has them, of the models that ``names`` holds, by the end of their metrics' names."""
        metrics = {"degenerateAfter": float(self.degeneration is not None)}
        for model, end in names.items():
            if model in self.figures:
                figures = self.figures[model]
                metrics[f"answerTokens{end}"] = figures.median_tokens
                metrics[f"endsByItself{end}"] = figures.ends_by_itself
                metrics[f"repetition{end}"] = figures.repetition
        return metrics


def figures_as_json(name: str, figures: Figures) -> dict[str, str | float]:
    """A model's figures as ``scores.json`` has them."""
    return {
        "model": name,
        "answers": figures.answers,
        "answerTokens": figures.median_tokens,
        "answerTokensP90": figures.p90_tokens,
        "endsByItself": figures.ends_by_itself,
        "repetition": figures.repetition,
    }
