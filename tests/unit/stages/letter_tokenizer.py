"""A tokenizer whose tokens are letters."""

from collections.abc import Callable
from typing import ClassVar

PAD, BOS, END = 0, 1, 2


class LetterTokenizer:
    """Each letter is a token; ``<``, ``>`` and ``_`` stand for bos, end of turn and padding."""

    pad_token_id: int | None = PAD
    unk_token_id: int | None = None
    bos_token_id: int | None = BOS
    # Texts of tests may have these letters.
    all_special_tokens = ()
    added_tokens_decoder: ClassVar[dict[int, str]] = {}

    def __init__(self, template: Callable[[list[dict[str, str]], bool], str] | None = None) -> None:
        self._template = template or self._default

    @staticmethod
    def _default(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        text = "".join(f"{message['role'][0]}:{message['content']}>" for message in messages)
        return f"<{text}{'a:' if add_generation_prompt else ''}"

    def apply_chat_template(self, messages: list[dict[str, str]], add_generation_prompt: bool, tokenize: bool) -> str:
        assert not tokenize
        return self._template(messages, add_generation_prompt)

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [{"<": BOS, ">": END, "_": PAD}.get(letter, ord(letter)) for letter in text]

    def get_vocab(self) -> dict[str, int]:
        return {chr(number): number for number in range(128)}

    def decode(self, ids: list[int], **_: bool) -> str:
        return "".join({BOS: "<", END: ">", PAD: "_"}.get(token, chr(token)) for token in ids)
