"""Prompts with the answers of the teacher and of the student before and after."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from distillation_stages.data.conversations import Turn
from distillation_stages.programs.evaluate.differences import Piece, difference

LONG = 600
"""Characters from which on a text is a box that scrolls, and so one that the keyboard has to reach."""


@dataclass(frozen=True)
class Sample:
    """A held-out prompt and three answers."""

    row: int
    prompt: list[Turn]
    teacher: str
    before: str
    after: str


@dataclass(frozen=True)
class ShownText:
    """A text of a sample as the page has it."""

    name: str
    pieces: tuple[Piece, ...]
    note: str = ""

    @property
    def is_long(self) -> bool:
        """Whether it takes more than its place."""
        return sum(len(piece.text) for piece in self.pieces) > LONG


@dataclass(frozen=True)
class ShownSample:
    """A sample with the differences of its answers."""

    row: int
    prompt: tuple[ShownText, ...]
    answers: tuple[ShownText, ...]


def shown(sample: Sample) -> ShownSample:
    """The prompt's turns, the teacher's answer, and the student's with the words that differ from it."""
    prompt = tuple(ShownText(str(turn.get("role", "")), (Piece(_text_of(turn), False),)) for turn in sample.prompt)
    return ShownSample(sample.row, prompt, tuple(_answers(sample)))


def _text_of(turn: Turn) -> str:
    """What a turn says; of one that calls tools, the calls too."""
    parts = [str(turn["content"])] if turn.get("content") else []
    if turn.get("tool_calls"):
        parts.append(json.dumps(turn["tool_calls"], ensure_ascii=False, default=str))
    return "\n".join(parts)


def _answers(sample: Sample) -> Iterator[ShownText]:
    yield ShownText("teacher", (Piece(sample.teacher, False),))
    for name, answer in (("student before", sample.before), ("student after", sample.after)):
        found = difference(sample.teacher, answer)
        note = f"{found.common} of {found.words} words as the teacher's" if answer.strip() else "an empty answer"
        yield ShownText(name, found.pieces, note)
