"""A run as it is compared, wherever it was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

BEFORE, AFTER, TEACHER = "before", "after", "teacher"
"""Models that are scored; those between have the names of their training stages."""

EVALUATED = "Evaluated"
"""Phase of a run that is known by its report alone."""

Curve = Sequence[tuple[float, float]]
"""Steps and values, in the order of the steps; all finite."""


@dataclass(frozen=True)
class StageRow:
    """One stage of a run."""

    name: str
    state: str
    seconds: float | None = None
    """From its first pod to its end."""
    chip_hours: float | None = None
    """By the running time of all its pods."""
    work_seconds: float | None = None
    """Of the run that finished it."""
    work_chip_hours: float | None = None
    """Of the run that finished it."""
    reused: bool = False
    """True when its work was found done."""


@dataclass(frozen=True)
class Run:
    """One run. What isn't known is absent: None, or not in the mapping."""

    name: str
    namespace: str | None
    uid: str
    origin: str
    """Where it was read, for people."""
    phase: str | None = None
    trouble: str = ""
    """Why it failed."""
    spec: Mapping[str, Any] | None = None
    """As written."""
    spec_is_whole: bool = True
    """False where only the members that determine results are known."""
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By metric, such as crossEntropy, then by model."""
    drop: float | None = None
    """Relative drop of the cross-entropy, where the run tells it itself."""
    scored_tokens: int | None = None
    """Held-out tokens that the students' cross-entropy is of."""
    teacher_tokens: int | None = None
    """Of these the first, that KL, top-1 agreement and the teacher's own cross-entropy are of."""
    losses: Mapping[str, float] = field(default_factory=dict)
    """The last of each training stage."""
    curves: Mapping[str, Mapping[str, Curve]] = field(default_factory=dict)
    """By training stage, then by what is drawn, such as loss."""
    generated_tokens: int | None = None
    trained_tokens: Mapping[str, int] = field(default_factory=dict)
    """By training stage, over all its steps; without prompts and padding."""
    seconds: float | None = None
    """From its start to its end, or so far."""
    seconds_are_final: bool = True
    work_seconds: float | None = None
    """Of all stages one after another, each of the run that finished it, without waiting."""
    chip_hours: float | None = None
    """By the running time of all its pods, those that failed too; work that was found done costs nothing."""
    work_chip_hours: float | None = None
    """Of all stages, each of the run that finished it, whichever job that was of."""
    stages: Sequence[StageRow] = ()
    notes: Sequence[str] = ()
    """What the reader has to know of what is missing."""

    @property
    def has_ended(self) -> bool:
        """True when nothing about it changes any more."""
        return self.phase in ("Complete", "Failed", EVALUATED)
