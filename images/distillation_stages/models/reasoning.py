"""What becomes of a teacher's reasoning: the ``<think>...</think>`` block before its answer."""

from typing import Literal

from distillation_api import reasons
from distillation_stages.runtime.failure import RowRejected

Policy = Literal["StripClosed", "Keep", "RequireClosed"]

OPEN, CLOSE = "<think>", "</think>"


def apply_reasoning_policy(text: str, policy: Policy, opened_by_prompt: bool) -> str:
    """The completion as the student is to learn it. Raises RowRejected.

    ``opened_by_prompt``: the chat template itself opens the block, so that completions hold only its end. Where the
    block is kept, the opening is put back: the student's template need not write it.
    """
    whole = f"{OPEN}{text}" if opened_by_prompt else text
    before, closed, after = whole.rpartition(CLOSE)
    still_open = OPEN in after if closed else OPEN in whole
    if policy == "Keep":
        return whole.strip()
    if still_open:
        raise RowRejected(reasons.OPEN_REASONING)
    if policy == "RequireClosed":
        # A closing tag without the opening one is half a block.
        if not closed or OPEN not in before:
            raise RowRejected(reasons.NO_REASONING)
        return whole.strip()
    return (after if closed else whole).strip()


def opens_reasoning(generation_prompt: str) -> bool:
    """True when a rendered prompt ends inside a block that it has opened."""
    return generation_prompt.rpartition(CLOSE)[2].rstrip().endswith(OPEN)
