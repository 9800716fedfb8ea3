"""Rendered conversations as token ids, and what of them fits."""

from dataclasses import dataclass
from typing import Any

from distillation_api import reasons
from distillation_stages.data.token_rows import TokenRow, token_row
from distillation_stages.maxtext.trainable_text import Rendered
from distillation_stages.models.control_tokens import token_ids
from distillation_stages.models.sampled_tokens import as_sampled
from distillation_stages.runtime.failure import StageError


@dataclass
class Fitting:
    """What of the rows so far fits into the length."""

    length: int
    rows: int = 0
    answers: int = 0
    prompts_too_long: int = 0
    """Rows whose prompt leaves no room for an answer: they teach nothing."""
    answers_cut: int = 0
    answers_left_out: int = 0
    """Answers that begin beyond the length."""
    trained: int = 0
    """Rows that teach something."""
    as_sampled: int = 0
    """Answers in the tokens that the teacher has said."""

    def tokenised(self, rendered: Rendered, tokenizer: Any) -> TokenRow:
        """The row up to the length, counted; each answer is learnt with its end.

        The texts are tokenised one by one, so that no token lies across the border of an answer: the student is given
        the one and says the other.
        """
        segments: list[tuple[list[int], bool]] = []
        end = 0
        for number, exchange in enumerate(rendered.exchanges):
            given, answer = (token_ids(tokenizer, text) for text in (exchange.given, exchange.answer))
            if rendered.sampled and number == len(rendered.exchanges) - 1:
                spelt = as_sampled(tokenizer, given, answer, rendered.content, rendered.sampled)
                self.as_sampled += spelt is not None
                answer = answer if spelt is None else spelt
            segments += [(given, False), (answer, True)]
            start = end + len(given)
            end = start + len(answer)
            self.prompts_too_long += number == 0 and start >= self.length
            self.answers_left_out += start >= self.length
            self.answers_cut += start < self.length < end
        row = token_row(segments, self.length)
        self.rows += 1
        self.answers += len(rendered.exchanges)
        self.trained += bool(row.trained)
        return row

    def require_trained(self) -> None:
        """Raise StageError when nothing could be learnt."""
        if self.rows and not self.trained:
            raise StageError(
                reasons.NO_TRAINABLE_TOKENS,
                f"in all {self.rows} rows the prompt alone fills maxTargetLength={self.length}; raise it",
            )
