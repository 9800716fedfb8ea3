"""Conversations as the student's chat template renders them for training, and what of them MaxText can learn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from distillation_api import reasons
from distillation_stages.maxtext.training_tokenizer import padding_token
from distillation_stages.runtime.failure import StageError

CHECKED_ROWS = 2_000
"""Rows that are tokenised before training, evenly spread; tokenising millions would keep accelerators waiting."""

MOST_REFUSED = 0.5
"""Share of conversations that the student's template may refuse."""

ENDINGS_READ = 50
"""A template ends all answers alike."""


@dataclass(frozen=True)
class Rendered:
    """One conversation as the student's template renders it."""

    row: int
    prompt: str
    completion: str


@dataclass(frozen=True)
class Checked:
    """What the tokenised rows say about the data."""

    rows: int
    prompts_too_long: int
    """Rows whose prompt leaves no room for an answer: they train nothing."""
    truncated: int
    tokens_per_row: float
    trainable_tokens: int


def render(tokenizer: Any, row: int, prompt: list[dict[str, str]], answer: str) -> Rendered:
    """The conversation as text: what is given, and what is to be learnt."""
    try:
        given = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
        whole = tokenizer.apply_chat_template(
            [*prompt, {"role": "assistant", "content": answer}], add_generation_prompt=False, tokenize=False
        )
    except Exception as error:  # Templates are programs of the model's author: they raise whatever they like.
        raise StageError(reasons.CHAT_TEMPLATE_REFUSES, f"the chat template refuses row {row}: {error}") from error
    if not whole.startswith(given):
        # Templates that open a thinking block for generation: the answer starts where the two part.
        common = next((i for i, (a, b) in enumerate(zip(given, whole, strict=False)) if a != b), len(given))
        given = given[:common]
    if not given or len(whole) == len(given):
        raise StageError(reasons.CHAT_TEMPLATE_REFUSES, f"the chat template renders no answer for row {row}")
    return Rendered(row, given, whole[len(given) :])


def render_all(
    tokenizer: Any, conversations: Iterable[tuple[int, list[dict[str, str]], str]]
) -> tuple[list[Rendered], int]:
    """Row number, prompt and answer of each as text, and how many the chat template refuses: those are passed over.

    Raises StageError when it refuses most of them.
    """
    rows: list[Rendered] = []
    refused: list[str] = []
    for conversation in conversations:
        try:
            rows.append(render(tokenizer, *conversation))
        except StageError as error:
            refused.append(error.message)
    require_most(len(refused), len(rows) + len(refused), refused[0] if refused else "")
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
    ends = (end_of(tokenizer(row.completion)["input_ids"], tokenizer) for row in sample_of(rows)[:ENDINGS_READ])
    return {end for end in ends if end is not None}


def check(rows: Sequence[Rendered], tokenizer: Any, max_target_length: int) -> Checked:
    """Tokenise a sample of the rows as MaxText will. Raises StageError when nothing, or no end, could be learnt."""
    pad = padding_token(tokenizer)
    masked = {pad, tokenizer.bos_token_id}
    sample = sample_of(rows)
    too_long = truncated = tokens = trainable = 0
    for row in sample:
        given = len(tokenizer(row.prompt)["input_ids"])
        answer = tokenizer(row.completion)["input_ids"]
        end = end_of(answer, tokenizer)
        if end is not None and end in masked:
            what = "pads with it" if end == pad else "masks the labels of bos"
            raise StageError(
                reasons.PAD_IS_EOS if end == pad else reasons.BOS_IS_EOS,
                f"row {row.row} ends its answer with token {end} ({tokenizer.decode([end])!r}), but training {what}: "
                "the student would never learn to stop. Set another pad_token (or bos_token) in tokenizer_config.json",
            )
        length = min(given + len(answer), max_target_length)
        tokens += length
        too_long += given >= max_target_length
        truncated += given < max_target_length < given + len(answer)
        trainable += sum(token not in masked for token in answer[: max(0, max_target_length - given)])
    if not trainable:
        raise StageError(
            reasons.NO_TRAINABLE_TOKENS,
            f"in all {len(sample)} rows checked the prompt alone fills maxTargetLength={max_target_length}; raise it",
        )
    return Checked(len(sample), too_long, truncated, tokens / len(sample), trainable)
