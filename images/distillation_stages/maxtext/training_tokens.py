"""Rendered conversations as the token ids that are packed."""

from typing import Any

from distillation_stages.data.packing import TokenRow, token_row
from distillation_stages.maxtext.trainable_text import Rendered


def tokenised(rendered: Rendered, tokenizer: Any, length: int) -> TokenRow:
    """The row up to the length; each answer is learnt with its end, even where that is the token that pads.

    The texts are tokenised one by one, so that no token lies across the border of an answer: the student is given the
    one and says the other. The tokenizer must put nothing of its own in front.
    """
    segments = (
        (tokenizer(text)["input_ids"], learnt)
        for exchange in rendered.exchanges
        for text, learnt in ((exchange.given, False), (exchange.answer, True))
    )
    return token_row(segments, length)
