"""Whether the scores of runs are of the same held-out rows and the same answers of a teacher."""

import re
from collections.abc import Sequence

from distillation_operator.commands.compare.differences import Difference
from distillation_operator.commands.compare.run import Run
from distillation_operator.commands.words import one_line

_DECIDING = ("dataset", "teacher", "generation")
"""Members of the spec that decide which rows are held out, and what the teacher answers to them."""
_OTHERS = ("generation.resources", "teacher.maxTextModel")
"""Below these what changes no answer."""
_NAMED = 3
"""Fields at most that are named."""


def not_comparable(runs: Sequence[Run], differences: Sequence[Difference]) -> str | None:
    """A sentence for readers on why a better score need not be a better student; None where nothing is known against
    comparing. Runs without scores don't count.
    """
    scored = [number for number, run in enumerate(runs) if run.scores]
    paths = [one_line(one.path) for one in differences if _decides(one.path) and one.is_between(scored)]
    if paths:
        more = len(paths) - _NAMED
        named = ", ".join(paths[:_NAMED]) + (f" and {more} more field{'s' if more > 1 else ''}" if more > 0 else "")
        return (
            f"The scores can't be compared: the runs differ in {named}, which changes the held-out rows or the "
            "teacher's answers."
        )
    tokens = {run.scored_tokens for run in runs if run.scored_tokens is not None}
    if len(tokens) > 1:
        return f"The scores can't be compared: they are of {min(tokens):,} to {max(tokens):,} held-out tokens."
    return None


def _decides(path: str) -> bool:
    return re.split(r"[.\[]", path)[0] in _DECIDING and not any(
        path == other or path.startswith(f"{other}.") for other in _OTHERS
    )
