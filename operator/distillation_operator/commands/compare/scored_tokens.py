"""The held-out tokens of scores: a cross-entropy is of all, what needs the teacher only of the first ones."""

from collections.abc import Sequence

from distillation_operator.commands.compare.run import Run


def part_remark(runs: Sequence[Run]) -> str | None:
    """A sentence for readers on the scores that are of fewer tokens than the students' cross-entropy; None where none
    are.
    """
    parts = [
        (run.teacher_tokens, run.scored_tokens)
        for run in runs
        if run.teacher_tokens and run.scored_tokens and run.teacher_tokens != run.scored_tokens
    ]
    if not parts:
        return None
    where = f"In {len(parts)} of the {len(runs)} runs " if len(parts) < len(runs) else ""
    compared, scored = (_range(numbers) for numbers in zip(*parts, strict=True))
    return (
        f"{where}KL, top-1 agreement and the teacher's cross-entropy are of the first {compared} of {scored} held-out "
        "tokens."
    )


def teacher_has_all(runs: Sequence[Run], told: Sequence[bool]) -> bool:
    """Whether the teacher's own cross-entropy is of the same tokens as the students' in every run that tells it."""
    return all(
        run.scored_tokens is not None and run.scored_tokens == run.teacher_tokens
        for run, tells in zip(runs, told, strict=True)
        if tells
    )


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
