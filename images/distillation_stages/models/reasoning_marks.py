"""The marks between which models put their reasoning, as data.

A table of our own instead of vLLM's reasoning parsers: preflight has to know the marks too, without vLLM; a parser is
chosen by a name that a user gives, where here the model itself tells; that of gpt-oss only says where reasoning ends;
and what a parser returns doesn't tell half a block from a whole one. A test in the teacher's environment holds that
vLLM's parsers split the same texts alike.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Marks:
    """How the models of one family mark their reasoning."""

    name: str
    opening: str
    closing: str
    label: str = ""
    """Text that belongs to the opening, where a model writes it."""
    answer: str = ""
    """What begins the final answer; where there is none, the answer is what follows the closing."""
    only_in_channels: bool = False
    """True where no text stands outside of marks: then there is no answer without its beginning."""
    others: tuple[str, ...] = ()
    """Marks of the framing around: no part of reasoning or answer."""
    spoken: tuple[str, ...] = ()
    """What a chat template that knows the family has in it; one is enough. Empty: opening or closing."""
    tokens: tuple[str, ...] = ()
    """Tokens by which a vocabulary that knows the family is told; empty for marks that are plain text."""

    def all(self) -> tuple[str, ...]:
        """Every text that is a mark."""
        return tuple(mark for mark in (self.opening, self.closing, self.answer, *self.others) if mark)

    def is_spoken_of(self, template: str) -> bool:
        """True for a chat template that knows the family."""
        return any(words in template for words in self.spoken or (self.opening, self.closing))

    def is_in(self, vocabulary: set[str]) -> bool:
        """True for a vocabulary with the family's tokens."""
        return bool(self.tokens) and vocabulary.issuperset(self.tokens)


THINK = Marks("think", "<think>", "</think>", tokens=("<think>", "</think>"))
"""DeepSeek-R1, Qwen3, GLM, Kimi K2, MiniMax M2, Nemotron, OLMo 3, Granite 3.3 and most others. Also how reasoning is
written down for the student: whatever the teacher's tokens, it is text that any student can say."""

MARKS = (
    Marks(
        "harmony",  # gpt-oss
        "<|channel|>analysis<|message|>",
        "<|end|>",
        answer="<|channel|>final<|message|>",
        only_in_channels=True,
        others=("<|channel|>commentary<|message|>", "<|start|>assistant", "<|return|>"),
        spoken=("<|channel|>analysis", "<|channel|>final"),
        tokens=("<|start|>", "<|channel|>", "<|message|>", "<|end|>"),
    ),
    Marks(
        "gemma4", "<|channel>", "<channel|>", label="thought\n", tokens=("<|channel>", "<channel|>")
    ),
    # Magistral, Ministral 3 Reasoning, and other reasoning models of Mistral.
    Marks("mistral", "[THINK]", "[/THINK]", tokens=("[THINK]", "[/THINK]")),
    Marks("seed-oss", "<seed:think>", "</seed:think>", tokens=("<seed:think>", "</seed:think>")),
    Marks(
        "cohere",  # Command A Reasoning; what is around the answer are special tokens.
        "<|START_THINKING|>",
        "<|END_THINKING|>",
        others=("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"),
        tokens=("<|START_THINKING|>", "<|END_THINKING|>"),
    ),
    Marks("minimax-m3", "<mm:think>", "</mm:think>", tokens=("<mm:think>", "</mm:think>")),
    Marks("plamo3", "<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>"),
    Marks(
        "kimi-k3",
        "<|open|>think<|sep|>",
        "<|close|>think<|sep|>",
        others=("<|open|>response<|sep|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>"),
        tokens=("<|open|>", "<|close|>", "<|sep|>"),
    ),
    Marks("granite-3.2", "Here is my thought process:", "Here is my response:"),
    THINK,
)  # fmt: skip
"""The more special before what others may have too."""

REASONERS = frozenset(
    {
        "Gemma4ForCausalLM", "Gemma4ForConditionalGeneration", "Gemma4UnifiedForConditionalGeneration",
        "GptOssForCausalLM", "HYV3ForCausalLM", "HYV4ForCausalLM", "InklingForCausalLM",
        "InklingForConditionalGeneration", "K2HorizonForCausalLM", "KimiK3ForConditionalGeneration",
        "MiniMaxM3SparseForCausalLM", "MiniMaxM3SparseForConditionalGeneration", "MuseGlimmerForCausalLM",
        "MuseGlimmerForConditionalGeneration", "Plamo3ForCausalLM", "SeedOssForCausalLM",
    }
)  # fmt: skip
"""Architectures whose models reason, and not between ``<think>`` and ``</think>`` alone: one whose marks aren't found
would have its reasoning learnt as if it were the answer."""
