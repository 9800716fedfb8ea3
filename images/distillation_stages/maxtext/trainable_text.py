"""Conversations as the student's chat template renders them for training."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from distillation_api import reasons
from distillation_stages.data.conversations import Answer, Turn, as_turn
from distillation_stages.data.tools import Tool, uses_tools
from distillation_stages.data.training_rows import TrainingRow
from distillation_stages.data.turn_members import is_learnt
from distillation_stages.models.tool_rendering import leaves_out_system, left_out, rendered
from distillation_stages.runtime.failure import StageError

MOST_REFUSED = 0.5
"""Share of conversations that the student's template may refuse."""


@dataclass(frozen=True)
class Exchange:
    """An answer that is learnt with its end, and the text before it that isn't."""

    given: str
    answer: str

    @property
    def text(self) -> str:
        """Both, as the template renders them."""
        return self.given + self.answer


@dataclass(frozen=True)
class Rendered:
    """One row of training, as the student's template renders it."""

    row: int
    """Of the dataset."""
    exchanges: tuple[Exchange, ...]
    """Each goes on where the one before ends."""
    content: str = ""
    """Of the last answer, without what the template writes around it."""
    sampled: tuple[int, ...] = ()
    """The content's tokens as a teacher of the student's vocabulary has said them; none where that isn't known."""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(exchange.text for exchange in self.exchanges)


def render(tokenizer: Any, row: int, prompt: list[Turn], answer: Answer, tools: list[Tool] | None = None) -> Rendered:
    """The conversation as text of which the last answer is learnt."""
    _check_whole(tokenizer, row, [*prompt, as_turn(answer)], tools)
    return Rendered(row, (_exchange(tokenizer, row, prompt, answer, tools),))


def render_every_turn(
    tokenizer: Any, row: int, prompt: list[Turn], answer: Answer, tools: list[Tool] | None = None
) -> list[Rendered]:
    """The conversation as text of which every answer is learnt, each after what the template gives before it.

    That is one row as long as the text up to an answer stays as it is when more turns follow. Templates that take the
    reasoning out of earlier turns, or put something into the last one only, change it: there a new row begins, with all
    turns that are given. It costs their tokens again, but what is learnt follows what the student sees when it is used.
    """
    turns = [*prompt, as_turn(answer)]
    _check_whole(tokenizer, row, turns, tools)
    rows: list[list[Exchange]] = []
    before = ""
    for position, turn in enumerate(turns):
        if turn["role"] != "assistant" or not is_learnt(turn):
            continue
        whole = _exchange(tokenizer, row, turns[:position], turn, tools)
        if before and whole.given.startswith(before) and whole.given != before:
            rows[-1].append(Exchange(whole.given[len(before) :], whole.answer))
        else:
            rows.append([whole])
        before = whole.text
    return [Rendered(row, tuple(exchanges)) for exchanges in rows]


def _check_whole(tokenizer: Any, row: int, turns: list[Turn], tools: list[Tool] | None) -> None:
    """Raises StageError when the template would render the conversation without its system message, tools, calls or
    results.
    """
    if leaves_out_system(tokenizer, turns):
        raise StageError(
            reasons.CHAT_TEMPLATE_REFUSES, f"row {row} has a system message, and the chat template leaves it out"
        )
    missing = left_out(tokenizer, turns, tools)
    if missing is not None:
        raise StageError(
            reasons.CHAT_TEMPLATE_REFUSES, f"row {row} has tools, and the chat template leaves out {missing}"
        )


def _exchange(
    tokenizer: Any, row: int, prompt: list[Turn], answer: Answer, tools: list[Tool] | None = None
) -> Exchange:
    """All that is given before the answer, and the answer. Raises StageError when the template renders none."""
    try:
        given = rendered(tokenizer, prompt, tools, add_generation_prompt=True)
        whole = rendered(tokenizer, [*prompt, as_turn(answer)], tools, add_generation_prompt=False)
        asked = rendered(tokenizer, prompt, tools, add_generation_prompt=False) if uses_tools(prompt) else ""
    except Exception as error:  # Templates are programs of the model's author: they raise whatever they like.
        raise StageError(reasons.CHAT_TEMPLATE_REFUSES, f"the chat template refuses row {row}: {error}") from error
    if not whole.startswith(given):
        # Templates that open a thinking block for generation: the answer starts where the two part.
        common = next((i for i, (a, b) in enumerate(zip(given, whole, strict=False)) if a != b), len(given))
        given = given[:common]
        if not given.startswith(asked.rstrip()):
            raise StageError(
                reasons.CHAT_TEMPLATE_REFUSES,
                f"the chat template writes the turns of row {row} otherwise when an answer follows: what a tool gave "
                "back would be learnt",
            )
    if not given or len(whole) == len(given):
        raise StageError(reasons.CHAT_TEMPLATE_REFUSES, f"the chat template renders no answer for row {row}")
    return Exchange(given, whole[len(given) :])


class RenderedRows(Iterable[Rendered]):
    """Conversations as text, one after the other. Those that the chat template refuses are passed over and counted;
    when these are most of them, iterating ends with a StageError."""

    def __init__(
        self,
        tokenizer: Any,
        conversations: Iterable[TrainingRow],
        every_turn: bool = False,
    ) -> None:
        """``every_turn``: the answers inside the prompt are learnt too."""
        self._tokenizer, self._conversations, self._every_turn = tokenizer, conversations, every_turn
        self.refused = 0

    def __iter__(self) -> Iterator[Rendered]:
        read, example = 0, ""
        for conversation in self._conversations:
            read += 1
            try:
                row, prompt, answer, tools, sampled = conversation
                if self._every_turn:
                    yield from render_every_turn(self._tokenizer, row, prompt, answer, tools)
                else:
                    text = render(self._tokenizer, row, prompt, answer, tools)
                    if sampled and isinstance(answer, str):
                        text = replace(text, content=answer, sampled=tuple(sampled))
                    yield text
            except StageError as error:
                self.refused += 1
                example = example or error.message
        require_most(self.refused, read, example)


def require_most(refused: int, read: int, example: str) -> None:
    """Raises StageError when the student's chat template refuses too great a share of the conversations."""
    if refused > MOST_REFUSED * read:
        raise StageError(
            reasons.CHAT_TEMPLATE_REFUSES,
            f"the student's chat template refuses {refused} of {read} conversations. Example: {example}. Give one that "
            "takes them in student.chatTemplate, or leave such conversations out of the dataset",
        )
