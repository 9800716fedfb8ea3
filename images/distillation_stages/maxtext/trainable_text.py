"""Conversations as the student's chat template renders them for training, and what of them MaxText can learn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from distillation_api import reasons
from distillation_stages.data.conversations import Answer, Turn, as_turn
from distillation_stages.data.tools import Tool, uses_tools
from distillation_stages.maxtext.training_tokenizer import padding_token
from distillation_stages.models.tool_rendering import left_out, rendered
from distillation_stages.runtime.failure import StageError

CHECKED_ROWS = 2_000
"""Rows that are tokenised before training, evenly spread; tokenising millions would keep accelerators waiting."""

MOST_REFUSED = 0.5
"""Share of conversations that the student's template may refuse."""

ENDINGS_READ = 50
"""A template ends all answers alike."""


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

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(exchange.text for exchange in self.exchanges)


@dataclass(frozen=True)
class Checked:
    """What the tokenised rows say about the data."""

    rows: int
    prompts_too_long: int
    """Rows whose prompt leaves no room for an answer: they train nothing."""
    truncated: int
    """Rows with an answer that is cut."""
    answers_left_out: int
    """Answers that begin beyond the length."""
    tokens_per_row: float
    trainable_tokens: int


def render(tokenizer: Any, row: int, prompt: list[Turn], answer: Answer, tools: list[Tool] | None = None) -> Rendered:
    """The conversation as text of which the last answer is learnt."""
    _check_tools(tokenizer, row, [*prompt, as_turn(answer)], tools)
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
    _check_tools(tokenizer, row, turns, tools)
    rows: list[list[Exchange]] = []
    before = ""
    for position, turn in enumerate(turns):
        if turn["role"] != "assistant":
            continue
        whole = _exchange(tokenizer, row, turns[:position], turn, tools)
        if before and whole.given.startswith(before) and whole.given != before:
            rows[-1].append(Exchange(whole.given[len(before) :], whole.answer))
        else:
            rows.append([whole])
        before = whole.text
    return [Rendered(row, tuple(exchanges)) for exchanges in rows]


def _check_tools(tokenizer: Any, row: int, turns: list[Turn], tools: list[Tool] | None) -> None:
    """Raises StageError when the template would render the conversation without its tools, calls or results."""
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


def render_all(
    tokenizer: Any,
    conversations: Iterable[tuple[int, list[Turn], Answer, list[Tool] | None]],
    every_turn: bool = False,
) -> tuple[list[Rendered], int]:
    """Row number, prompt, answer and tools of each as text, and how many the chat template refuses.

    Those are passed over. Raises StageError when it refuses most of them. ``every_turn``: the answers inside the prompt
    are learnt too.
    """
    rows: list[Rendered] = []
    refused: list[str] = []
    taken = 0
    for conversation in conversations:
        try:
            rows += render_every_turn(tokenizer, *conversation) if every_turn else [render(tokenizer, *conversation)]
            taken += 1
        except StageError as error:
            refused.append(error.message)
    require_most(len(refused), taken + len(refused), refused[0] if refused else "")
    return rows, len(refused)


def require_most(refused: int, read: int, example: str) -> None:
    """Raises StageError when the student's chat template refuses too great a share of the conversations."""
    if refused > MOST_REFUSED * read:
        raise StageError(
            reasons.CHAT_TEMPLATE_REFUSES,
            f"the student's chat template refuses {refused} of {read} conversations. Example: {example}. Give one that "
            "takes them in student.chatTemplate, or leave such conversations out of the dataset",
        )


def sample_of(rows: Sequence[Rendered]) -> Sequence[Rendered]:
    """The rows that are tokenised before training."""
    return rows[:: max(1, len(rows) // CHECKED_ROWS)]


def end_of(answer: Sequence[int], tokenizer: Any) -> int | None:
    """The special token that ends a tokenised answer; None when it has none."""
    special = set(tokenizer.all_special_ids)
    return next((token for token in reversed(answer) if token in special), None)


def endings(rows: Sequence[Rendered], tokenizer: Any) -> set[int]:
    """The tokens that end the answers: what a student must learn to stop."""
    answers = (exchange.answer for row in sample_of(rows)[:ENDINGS_READ] for exchange in row.exchanges)
    ends = (end_of(tokenizer(answer)["input_ids"], tokenizer) for answer in answers)
    return {end for end in ends if end is not None}


def check(rows: Sequence[Rendered], tokenizer: Any, max_target_length: int) -> Checked:
    """Tokenise a sample of the rows as MaxText will. Raises StageError when nothing, or no end, could be learnt."""
    masked = {padding_token(tokenizer), tokenizer.bos_token_id}
    sample = sample_of(rows)
    too_long = truncated = left_out = tokens = trainable = 0
    for row in sample:
        length = 0
        for number, exchange in enumerate(row.exchanges):
            start = length + len(tokenizer(exchange.given)["input_ids"])
            answer = tokenizer(exchange.answer)["input_ids"]
            _check_end(row, answer, tokenizer)
            length = start + len(answer)
            too_long += number == 0 and start >= max_target_length
            left_out += start >= max_target_length
            truncated += start < max_target_length < length
            trainable += sum(token not in masked for token in answer[: max(0, max_target_length - start)])
        tokens += min(length, max_target_length)
    if not trainable:
        raise StageError(
            reasons.NO_TRAINABLE_TOKENS,
            f"in all {len(sample)} rows checked the prompt alone fills maxTargetLength={max_target_length}; raise it",
        )
    return Checked(len(sample), too_long, truncated, left_out, tokens / len(sample), trainable)


def _check_end(row: Rendered, answer: Sequence[int], tokenizer: Any) -> None:
    """Raises StageError when MaxText would mask the end of the tokenised answer."""
    end, pad = end_of(answer, tokenizer), padding_token(tokenizer)
    if end is not None and end in (pad, tokenizer.bos_token_id):
        what = "pads with it" if end == pad else "masks the labels of bos"
        raise StageError(
            reasons.PAD_IS_EOS if end == pad else reasons.BOS_IS_EOS,
            f"row {row.row} ends its answer with token {end} ({tokenizer.decode([end])!r}), but training {what}: "
            "the student would never learn to stop. Set another pad_token (or bos_token) in tokenizer_config.json",
        )
