"""The seam for teachers: questions in, answers out as they end. What stands behind it is a teacher's own affair.

A teacher owns how a conversation is rendered, what fits, how it samples and what becomes of its reasoning. The shard
counts and publishes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from distillation_api.reasons.reason import RowReason
from distillation_stages.data.conversations import Turn
from distillation_stages.data.tools import Tool


@dataclass(frozen=True)
class Question:
    """One conversation that the teacher is to answer."""

    key: int
    """The answer carries it: answers come in any order."""
    row: int
    """Number of its row in the source; with ``sample`` it determines the seed."""
    sample: int
    conversation: list[Turn]
    tools: list[Tool] | None = None
    """What it may call."""


@dataclass(frozen=True)
class Answer:
    """What the teacher said to one question, or why there is nothing to learn from it."""

    key: int
    text: str
    """As the student is to learn it; of a rejected answer what there was, as an example."""
    rejected: RowReason | None = None
    finish_reason: str = ""
    prompt_tokens: int = 0
    tokens: int = 0
    """How many it has said in all."""
    sampled: list[int] | None = None
    """Those that are the text; None when it isn't made of them alone."""
    lacks_reasoning: bool = False
    """True for an answer without reasoning of a teacher whose chat template knows of it."""


class Teacher(Protocol):
    """Something that answers conversations."""

    versions: dict[str, str]
    """Of what determines its answers; complete once it is loaded."""

    vocabulary: str
    """The hash of the vocabulary that its tokens are of."""

    def load(self) -> None:
        """Make ready to answer, which may take minutes. Raises StageError."""

    def answers(self, questions: Iterable[Question], beat: Callable[[], None]) -> Iterator[Answer]:
        """One answer for each question, in the order in which they end. Takes questions only as fast as it works.

        ``beat`` is called while it gets on. Raises StageError when it can't go on.
        """
