"""Answers of reasoning teachers, one or more of each family: invented texts in the real formats.

As an engine writes them that leaves special tokens in, without the token that ended the answer.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answered:
    """One text, and what it consists of."""

    family: str
    text: str
    reasoning: str
    answer: str
    parser: str
    """vLLM's reasoning parser for the family; harmony stands for its parser of whole answers."""
    special: tuple[str, ...] = ()
    """The family's tokens that its tokenizers call special."""


HARMONY = ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>")
GEMMA4 = ("<|channel>", "<channel|>", "<turn|>")
COHERE = ("<|START_THINKING|>", "<|END_THINKING|>", "<|START_TEXT|>", "<|END_TEXT|>")
THOUGHT, ANSWER = "2 and 2 are 4.\nSo it is 4.", "It is **4**.\n\nAsk another one."

TEXTS = [
    Answered("think", f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}", THOUGHT, ANSWER, "deepseek_r1"),
    Answered("think", f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}", THOUGHT, ANSWER, "qwen3"),
    Answered("mistral", f"[THINK]{THOUGHT}[/THINK]{ANSWER}", THOUGHT, ANSWER, "mistral", ("[THINK]", "[/THINK]")),
    Answered(
        "harmony",
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}",
        THOUGHT,
        ANSWER,
        "harmony",
        HARMONY,
    ),
    Answered(
        "harmony",
        "<|channel|>analysis<|message|>2 and 2 are 4.<|end|><|start|>assistant<|channel|>analysis<|message|>So it is "
        f"4.<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}",
        THOUGHT,
        ANSWER,
        "harmony",
        HARMONY,
    ),
    Answered("harmony", f"<|channel|>final<|message|>{ANSWER}", "", ANSWER, "harmony", HARMONY),
    Answered("gemma4", f"<|channel>thought\n{THOUGHT}\n<channel|>{ANSWER}", THOUGHT, ANSWER, "gemma4", GEMMA4),
    Answered("gemma4", f"<|channel>thought\n<channel|>{ANSWER}", "", ANSWER, "gemma4", GEMMA4),
    Answered(
        "seed-oss",
        f"<seed:think>{THOUGHT}</seed:think>{ANSWER}",
        THOUGHT,
        ANSWER,
        "seed_oss",
        ("<seed:think>", "</seed:think>"),
    ),
    Answered(
        "cohere",
        f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_TEXT|>{ANSWER}<|END_TEXT|>",
        THOUGHT,
        ANSWER,
        "cohere_command4",
        COHERE,
    ),
    Answered("minimax-m3", f"<mm:think>{THOUGHT}</mm:think>{ANSWER}", THOUGHT, ANSWER, "minimax_m3"),
    Answered(
        "plamo3", f"<|plamo:begin_think:plamo|>{THOUGHT}<|plamo:end_think:plamo|>{ANSWER}", THOUGHT, ANSWER, "plamo3"
    ),
    Answered(
        "kimi-k3",
        f"<|open|>think<|sep|>{THOUGHT}<|close|>think<|sep|><|open|>response<|sep|>{ANSWER}<|close|>response<|sep|>"
        "<|close|>message<|sep|>",
        THOUGHT,
        ANSWER,
        "kimi_k3",
        ("<|open|>", "<|close|>", "<|sep|>"),
    ),
    Answered(
        "granite-3.2",
        f"Here is my thought process:\n{THOUGHT}\nHere is my response:\n{ANSWER}",
        THOUGHT,
        ANSWER,
        "granite",
    ),
]
