"""Conversations with tools by a chat template, and what it leaves out of them without a word.

Most templates take any message and print what they know of it. One that knows no tools renders a call as an empty
answer, and a conversation without the tools that it is about: so a conversation of the same shape, whose words stand
nowhere else, is rendered too, and they are looked for.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from distillation_stages.data.conversations import Turn
from distillation_stages.data.tools import Tool, uses_tools
from distillation_stages.data.turn_members import without_marks
from distillation_stages.models.control_tokens import as_words
from distillation_stages.models.teacher_reasoning import special_tokens


def rendered(tokenizer: Any, turns: list[Turn], tools: list[Tool] | None, add_generation_prompt: bool) -> str:
    """The conversation as the chat template of a tokenizer of transformers writes it; raises what that raises.

    It is to be tokenised by ``control_tokens``.
    """
    handed: dict[str, Any] = {"tools": tools} if tools else {}
    words = as_words(tokenizer, without_marks(turns), uses_tools(turns, tools))
    return str(
        tokenizer.apply_chat_template(words, tokenize=False, add_generation_prompt=add_generation_prompt, **handed)
    )


def left_out(
    tokenizer: Any, turns: list[Turn], tools: list[Tool] | None, add_generation_prompt: bool = False
) -> str | None:
    """What the template leaves out of the tools, calls and results of this conversation; None where it is nothing.

    Of a conversation without tools nothing is looked at.
    """
    if not uses_tools(turns, tools):
        return None
    probe = _Probe()
    like_turns, like_tools = [probe.turn(turn) for turn in turns], [probe.tool() for _ in tools or []]
    try:
        text = rendered(tokenizer, like_turns, like_tools, add_generation_prompt)
    except Exception as error:  # Templates are programs of the model's author: they raise whatever they like.
        return f"what can't be told, as it refuses another of the same shape: {error}"
    missing = dict.fromkeys(what for word, what in probe.words.items() if word not in text)
    return ", ".join(missing) or None


@lru_cache(maxsize=8)
def _passes_over_system(tokenizer: Any) -> bool:
    probe = _Probe()
    word = probe.word("the system message")
    try:
        text = rendered(
            tokenizer, [{"role": "system", "content": word}, {"role": "user", "content": "Words."}], None, True
        )
    except Exception:  # A template that refuses system messages is seen where a row is rendered.
        return False
    return word not in text


def leaves_out_system(tokenizer: Any, turns: list[Turn]) -> bool:
    """Whether these begin with a system message that the template passes over without an error: many print the roles
    that they know, and nothing of others.
    """
    return turns[0]["role"] == "system" and bool(turns[0]["content"].strip()) and _passes_over_system(tokenizer)


class _Probe:
    """A conversation of other words, each of which is known again."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}
        """By word: what is left out where it doesn't stand."""

    def tool(self) -> Tool:
        """A tool."""
        name, parameter = self.word("the tools"), self.word("the tools' parameters")
        properties = {parameter: {"type": "string", "description": "A text."}}
        parameters = {"type": "object", "properties": properties, "required": [parameter]}
        return {
            "type": "function",
            "function": {"name": name, "description": "A function.", "parameters": parameters},
        }

    def turn(self, turn: Turn) -> Turn:
        """A turn of the same kind. Names of calls and of their results are the author's, as templates compare them."""
        if turn["role"] == "tool":
            return {**turn, "content": self.word("the results of tools") if turn["content"].strip() else ""}
        if not turn.get("tool_calls"):
            return {"role": turn["role"], "content": "Words." if turn["content"].strip() else turn["content"]}
        content = self.word("the text beside a call") if turn["content"].strip() else ""
        return {**turn, "content": content, "tool_calls": [self._call(call) for call in turn["tool_calls"]]}

    def _call(self, call: Tool) -> Tool:
        function = {
            "name": self.word("the calls of tools"),
            "arguments": {self.word("the calls' arguments"): self.word("the calls' arguments")},
        }
        return {**call, "function": function}

    def word(self, what: str) -> str:
        """A word that stands for something of the conversation."""
        # Of one length, none is a part of another.
        word = f"probe{len(self.words):05d}"
        self.words[word] = what
        return word


def marks_of_calls(tokenizer: Any) -> frozenset[str]:
    """The special tokens that the template writes into a call and not into a text: without them it would be none."""
    probe = _Probe()
    tools, asked = [probe.tool()], [{"role": "user", "content": "Words."}]
    call = {"id": "callcall1", "type": "function", "function": {"name": "name", "arguments": {}}}
    answers: Sequence[Turn] = [{"content": "Words."}, {"content": "", "tool_calls": [call]}]
    try:
        texts = [rendered(tokenizer, [*asked, {"role": "assistant", **answer}], tools, False) for answer in answers]
    except Exception:  # What a template refuses is told where a row is rendered.
        return frozenset()
    said, called = texts
    return frozenset(token for token in special_tokens(tokenizer) if called.count(token) > said.count(token))
