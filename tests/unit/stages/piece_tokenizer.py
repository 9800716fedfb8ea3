"""A tokenizer with tokens of several letters, so that a text has more than one spelling."""

from typing import Any

PIECES = ["<s>", "</s>", "<|user|>", "<|bot|>", "He", "llo", "Hello", " Hello", " ", "  ", "\n", "<think>", "</think>",
          *"abcdefghijklmnopqrstuvwxyzH!?.:", "hm"]  # fmt: skip
NUMBERS = {piece: number for number, piece in enumerate(PIECES)}


class PieceTokenizer:
    """Takes the longest token that fits. ``space``: what its template writes before an answer."""

    bos_token_id = NUMBERS["<s>"]
    eos_token_id = NUMBERS["</s>"]
    all_special_tokens = ("<s>", "</s>", "<|user|>", "<|bot|>")
    added_tokens_decoder: dict[int, Any] = {}

    def __init__(self, space: str = "") -> None:
        self._space = space

    def apply_chat_template(self, turns: list[dict[str, str]], tokenize: bool, add_generation_prompt: bool) -> str:
        """The conversation, each answer with its end."""
        marks = {"user": ("<|user|>", ""), "assistant": (f"<|bot|>{self._space}", "</s>\n")}
        texts = [f"{marks[turn['role']][0]}{turn['content'].strip()}{marks[turn['role']][1]}" for turn in turns]
        return "".join(["<s>", *texts, *(["<|bot|>"] if add_generation_prompt else [])])

    def get_vocab(self) -> dict[str, int]:
        """All tokens."""
        return dict(NUMBERS)

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """The tokens of the text."""
        assert not add_special_tokens
        ids = []
        while text:
            piece = max((piece for piece in PIECES if text.startswith(piece)), key=len)
            ids.append(NUMBERS[piece])
            text = text[len(piece) :]
        return ids

    def decode(self, ids: list[int], skip_special_tokens: bool = False, **_: bool) -> str:
        """The text of the tokens."""
        return "".join(PIECES[number] for number in ids if number < len(PIECES))


def spelt(*pieces: str) -> list[int]:
    """These tokens."""
    return [NUMBERS[piece] for piece in pieces]
