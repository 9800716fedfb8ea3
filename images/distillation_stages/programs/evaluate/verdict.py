"""The sentences that a report begins with."""

from dataclasses import dataclass
from typing import Literal

from distillation_api.contract import ModelScore, ReportFacts
from distillation_stages.programs.evaluate.formats import percent, score

State = Literal["good", "bad", "plain"]


@dataclass(frozen=True)
class Verdict:
    """Whether the student passed, and by which numbers."""

    state: State
    headline: str
    detail: str


def verdict_of(facts: ReportFacts) -> Verdict:
    """By the gate; where there is none, by the scores alone."""
    change = drop(facts.before, facts.after)
    moved = _moved(facts, change)
    gate = facts.gate
    if gate is None:
        headline = "Better than before" if change is not None and change > 0 else "Not better than before"
        if change is None:
            headline = "Scores are missing"
        state: State = "plain" if change is not None and change > 0 else "bad"
        return Verdict(state, headline, f"{moved} The manifest sets no gate.")
    asked = f"The gate asks for a drop of at least {_exactly(gate.threshold)}."
    if gate.passed:
        return Verdict("good", "Passed", f"{moved} {asked}")
    return Verdict("bad", "Failed", f"{moved} {asked} Not published.")


def drop(before: ModelScore, after: ModelScore) -> float | None:
    """How much lower the cross-entropy is, relative to before; None where that can't be said."""
    if before.cross_entropy is None or after.cross_entropy is None or before.cross_entropy <= 0:
        return None
    return (before.cross_entropy - after.cross_entropy) / before.cross_entropy


def way_to_teacher(facts: ReportFacts) -> float | None:
    """The share of the distance between the student before and the teacher that training has covered; None unless all
    three are scored on the same tokens.
    """
    if not facts.rows.teacher_has_all:
        return None
    before, after = facts.before.cross_entropy, facts.after.cross_entropy
    goal = facts.teacher.cross_entropy if facts.teacher is not None else None
    if before is None or after is None or goal is None or before <= goal:
        return None
    return (before - after) / (before - goal)


def best_of(facts: ReportFacts) -> ModelScore | None:
    """The student with the lowest cross-entropy, the earliest of equals; None where none has one."""
    scored = [one for one in facts.scores if one.cross_entropy is not None]
    return min(scored, key=lambda one: one.cross_entropy or 0.0, default=None)


def best_before_the_end(facts: ReportFacts) -> str | None:
    """What a reader has to know when the last training made the student worse; None when it didn't."""
    best, last = best_of(facts), facts.after
    if best is None or last.cross_entropy is None or best.cross_entropy == last.cross_entropy:
        return None
    numbers = f"the cross-entropy was {score(best.cross_entropy)} then and is {score(last.cross_entropy)} at the end"
    if best is facts.before:
        return f"Best before any training: {numbers}."
    later = [one.name for one in facts.scores[facts.scores.index(best) + 1 :]]
    return f"Best after {best.name}: {numbers}. What followed ({', '.join(later)}) made it worse."


def _moved(facts: ReportFacts, change: float | None) -> str:
    before, after = score(facts.before.cross_entropy), score(facts.after.cross_entropy)
    numbers = f"from {before} to {after} nats per token"
    if change is None:
        return f"Cross-entropy on held-out rows went {numbers}."
    if change == 0:
        return f"Cross-entropy on held-out rows stayed at {after} nats per token."
    verb = "fell" if change > 0 else "rose"
    return f"Cross-entropy on held-out rows {verb} by {percent(abs(change), 1)}, {numbers}."


def _exactly(share: float) -> str:
    """A threshold as it was set: 50%, 2.5%."""
    return f"{100 * share:.10g}%"
