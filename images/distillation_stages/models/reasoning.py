"""What becomes of a teacher's reasoning: what stands before its answer, between marks of its own."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from distillation_api import reasons
from distillation_stages.models.reasoning_marks import THINK, Marks
from distillation_stages.runtime.failure import RowRejected

Policy = Literal["StripClosed", "Keep", "RequireClosed"]


@dataclass(frozen=True)
class Parts:
    """An answer, taken apart."""

    reasoning: str
    """Without marks; empty where there is none."""
    answer: str
    opened: bool
    """Whether there is a mark that opens reasoning."""
    closed: bool
    """Whether the reasoning has come to its end; without any it hasn't."""
    ends_open: bool
    """Whether the text ends inside of reasoning: then there is no answer."""


def apply_reasoning_policy(text: str, policy: Policy, opened_by_prompt: bool, marks: Marks = THINK) -> str:
    """The completion as the student is to learn it. Raises RowRejected.

    ``opened_by_prompt``: the chat template itself opens the block, so that completions hold only its end. Where the
    block is kept, the opening is put back: the student's template need not write it. Marks of other families are
    written as ``<think>`` and ``</think>``; what has these already stays as it is, letter by letter.
    """
    whole, marks = _as_marked(text, opened_by_prompt, marks)
    parts = split(whole, marks)
    if policy == "Keep":
        return (whole if marks is THINK else kept(parts)).strip()
    if parts.ends_open:
        raise RowRejected(reasons.OPEN_REASONING)
    if policy == "RequireClosed":
        # A closing mark without the opening one is half a block.
        if not parts.closed or not parts.opened:
            raise RowRejected(reasons.NO_REASONING)
        return (whole if marks is THINK else kept(parts)).strip()
    return parts.answer.strip()


def split(whole: str, marks: Marks) -> Parts:
    """The text, with its opening mark if there is one, taken apart."""
    before, answered, answer = whole.rpartition(marks.answer) if marks.answer else ("", "", "")
    if answered:
        answer = answer.partition(marks.closing)[0]
        return Parts(_inside(before, marks), answer, marks.opening in before, marks.opening in before, False)
    before, closed, after = whole.rpartition(marks.closing)
    in_reasoning = marks.opening in (after if closed else whole)
    if in_reasoning or (marks.only_in_channels and any(mark in whole for mark in marks.all())):
        return Parts(_inside(whole, marks), "", marks.opening in whole, bool(closed), True)
    answer = after if closed else whole
    answer = answer if marks is THINK else _without(answer, marks.others)
    return Parts(_inside(before, marks), answer, marks.opening in before, bool(closed), False)


def kept(parts: Parts) -> str:
    """Reasoning and answer as the student is to learn both."""
    if parts.ends_open:
        return f"{THINK.opening}\n{parts.reasoning}"
    if not parts.closed:
        return parts.answer
    return f"{THINK.opening}\n{parts.reasoning}\n{THINK.closing}\n\n{parts.answer.strip()}"


def has_reasoning(text: str, opened_by_prompt: bool, marks: Marks) -> bool:
    """True for an answer with reasoning, whether that ends or not."""
    parts = split(*_as_marked(text, opened_by_prompt, marks))
    return parts.opened or parts.closed


def opens_reasoning(generation_prompt: str, marks: Marks = THINK) -> bool:
    """True when a rendered prompt ends inside a block that it has opened."""
    end = generation_prompt.rpartition(marks.closing)[2].rstrip()
    return end.endswith((marks.opening, f"{marks.opening}{marks.label}".rstrip()))


def without_control_tokens(text: str, control: Collection[str], marks: Marks) -> str:
    """The text without the tokenizer's special tokens, but with the marks, which may be made of these."""
    spared = set(marks.all())
    while present := [token for token in {*control, *spared} if token in text]:
        # Longest first: a token may have another one in it.
        pattern = "|".join(re.escape(token) for token in sorted(present, key=len, reverse=True))
        cleaned = re.sub(pattern, lambda found: found[0] if found[0] in spared else "", text)
        if cleaned == text:
            break
        text = cleaned
    return text


def _as_marked(text: str, opened_by_prompt: bool, marks: Marks) -> tuple[str, Marks]:
    """The text with what the prompt has opened, and the marks that it has."""
    whole = f"{marks.opening}{text}" if opened_by_prompt else text
    # A vocabulary may have marks that the model was never taught.
    return whole, marks if any(mark in whole for mark in marks.all()) else THINK


def _inside(text: str, marks: Marks) -> str:
    """The text of one or several blocks, without marks."""
    pattern = "|".join(re.escape(mark) for mark in sorted(marks.all(), key=len, reverse=True))
    pieces = (_without_label(piece.strip(), marks.label) for piece in re.split(pattern, text))
    return "\n".join(piece for piece in pieces if piece)


def _without_label(piece: str, label: str) -> str:
    return "" if piece == label.strip() else piece.removeprefix(label).strip()


def _without(text: str, marks: Collection[str]) -> str:
    for mark in marks:
        text = text.replace(mark, "")
    return text
