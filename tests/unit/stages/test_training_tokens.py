"""What of a rendered conversation is learnt, as tokens."""

import pytest

from distillation_stages.maxtext.trainable_text import Exchange, Rendered
from distillation_stages.maxtext.training_tokens import tokenised


class PairTokenizer:
    """Two equal letters in a row are one token, as merges of a real one are."""

    def __call__(self, text: str) -> dict[str, list[int]]:
        ids: list[int] = []
        while text:
            pair = len(text) > 1 and text[0] == text[1]
            ids.append(ord(text[0]) + (1000 if pair else 0))
            text = text[2 if pair else 1 :]
        return {"input_ids": ids}


@pytest.mark.parametrize(
    ("exchanges", "length", "learnt"),
    [
        pytest.param([("ab", "c>")], 9, "..xx", id="the end is learnt"),
        pytest.param([("ab", "c>"), ("d", "e>")], 9, "..xx.xx", id="every answer"),
        pytest.param([("ab", "bc")], 9, "..xx", id="no token across the border"),
        pytest.param([("ab", "cd>")], 4, "..xx", id="cut"),
        pytest.param([("abcd", "e>")], 4, "....", id="the prompt fills the length"),
    ],
)
def test_answers_are_learnt_and_what_is_given_is_not(
    exchanges: list[tuple[str, str]], length: int, learnt: str
) -> None:
    rendered = Rendered(1, tuple(Exchange(given, answer) for given, answer in exchanges))
    row = tokenised(rendered, PairTokenizer(), length)
    assert "".join("x" if one else "." for one in row.learnt) == learnt
    assert [chr(token) for token in row.tokens] == list(rendered.text)[:length]
