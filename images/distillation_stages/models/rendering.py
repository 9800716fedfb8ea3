"""Conversations to token ids with a model's own chat template."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from distillation_api import reasons
from distillation_stages.data.conversations import Turn
from distillation_stages.data.tools import Tool, uses_tools
from distillation_stages.models.control_tokens import token_ids
from distillation_stages.models.reasoning import Policy
from distillation_stages.models.teacher_reasoning import TeacherReasoning, find_reasoning
from distillation_stages.models.template_arguments import with_arguments
from distillation_stages.models.tool_rendering import leaves_out_system, left_out, marks_of_calls, rendered
from distillation_stages.models.vocabularies import load_tokenizer
from distillation_stages.runtime.failure import RowRejected, StageError

_ANSWER = "answer-text-between-which-the-template-puts-its-marks"


class Renderer:
    """A model's tokenizer and chat template."""

    def __init__(self, tokenizer: Any) -> None:
        """``tokenizer``: of transformers."""
        self.tokenizer = tokenizer

    @staticmethod
    def load(
        model: Path,
        chat_template: str | None = None,
        arguments: Mapping[str, str] | None = None,
        field: str = "student.chatTemplate",
    ) -> "Renderer":
        """The renderer of a model directory. Raises StageError when the tokenizer has no chat template.

        ``chat_template``: instead of the model's own, from the ``field`` of the job's spec. ``arguments``: variables
        for the template.
        """
        tokenizer = load_tokenizer(model)
        if chat_template is not None:
            tokenizer.chat_template = chat_template
        if not tokenizer.chat_template:
            raise StageError(
                reasons.MISSING_CHAT_TEMPLATE,
                f"the tokenizer in {model} has no chat template: neither chat_template.jinja nor a chat_template in "
                f"tokenizer_config.json. Give one in {field}, or use the model's chat variant",
            )
        try:
            template = str(tokenizer.get_chat_template())
        except ValueError as error:  # Several templates, by name.
            raise StageError(
                reasons.MISSING_CHAT_TEMPLATE,
                f"the tokenizer in {model} has several chat templates, of which none is called default: {error}. Give "
                f"the right one in {field}",
            ) from error
        if arguments:
            tokenizer.chat_template = with_arguments(template, arguments)
        return Renderer(tokenizer)

    def prompt_ids(self, prompt: list[Turn], tools: list[Tool] | None = None) -> list[int]:
        """The prompt as the model expects it before its answer: one BOS at most, and the mark that opens an answer.

        Raises what the template raises, e.g. for a system turn that it doesn't know.
        """
        text = rendered(self.tokenizer, prompt, tools, add_generation_prompt=True)
        # The template has written BOS itself: adding special tokens would put a second one.
        ids = self.token_ids(text)
        bos = self.tokenizer.bos_token_id
        while len(ids) > 1 and bos is not None and ids[0] == ids[1] == bos:
            del ids[0]
        return ids

    def reasoning(self, architectures: Iterable[str], policy: Policy) -> TeacherReasoning:
        """How a teacher of these architectures marks its reasoning. Raises StageError for marks that aren't found."""
        return find_reasoning(self.tokenizer, architectures, policy)

    def marks_of_calls(self) -> frozenset[str]:
        """The special tokens that a call of a tool is known by."""
        return marks_of_calls(self.tokenizer)

    def token_ids(self, text: str) -> list[int]:
        """The text's tokens, nothing added."""
        return token_ids(self.tokenizer, text)

    def end_of_turn(self) -> int:
        """The token that the template puts right after an answer; the tokenizer's EOS where it puts none."""
        turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": _ANSWER}]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=False)
        _, _, after = str(text).rpartition(_ANSWER)
        ids = self.token_ids(after.lstrip())
        if ids:
            return ids[0]
        return int(self.tokenizer.eos_token_id)

    def text(self, ids: list[int]) -> str:
        """The tokens as text, without special tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def template_hash(self) -> str:
        """SHA-256 of the chat template, with its arguments."""
        return hashlib.sha256(str(self.tokenizer.chat_template).encode()).hexdigest()


def check_system_prompt(renderer: Renderer, system_prompt: str | None) -> None:
    """Raises StageError, before the engine is loaded, when the chat template takes no system message."""
    if system_prompt is None:
        return
    try:
        renderer.prompt_ids(with_system([{"role": "user", "content": "Hello."}], system_prompt))
    except Exception as error:
        raise StageError(
            reasons.SYSTEM_PROMPT_REFUSED,
            f"the teacher's chat template refuses generation.systemPrompt: {error}. Remove systemPrompt, or give a "
            "template that takes a system message in generation.chatTemplate",
        ) from error


def check_system_written(renderer: Renderer, system_prompt: str | None) -> None:
    """Raises StageError when the chat template passes over a system message without an error."""
    if system_prompt is None:
        return
    if leaves_out_system(renderer.tokenizer, with_system([{"role": "user", "content": "Hello."}], system_prompt)):
        raise StageError(
            reasons.SYSTEM_PROMPT_REFUSED,
            "the teacher's chat template leaves out system messages, and so generation.systemPrompt. Remove "
            "systemPrompt, or give a template that takes a system message in generation.chatTemplate",
        )


def with_system(prompt: list[Turn], system_prompt: str | None) -> list[Turn]:
    """The prompt, with the system message in front unless it has one of its own."""
    if system_prompt is None or prompt[0]["role"] == "system":
        return prompt
    return [{"role": "system", "content": system_prompt}, *prompt]


def asked_ids(
    renderer: Renderer, prompt: list[Turn], tools: list[Tool] | None, system_prompt: str | None, limit: int
) -> list[int]:
    """The tokens of what the teacher is asked, at most ``limit``.

    Raises RowRejected, with the template's words or the lengths, for a conversation that it can't be asked.
    """
    turns = with_system(prompt, system_prompt)
    try:
        ids = renderer.prompt_ids(turns, tools)
    except Exception as error:
        # Templates raise errors of many kinds, about one conversation: the others must go on.
        raise RowRejected(reasons.TEMPLATE_REFUSED, str(error)) from error
    if leaves_out_system(renderer.tokenizer, turns):
        raise RowRejected(reasons.TEMPLATE_REFUSED, "the chat template leaves out the system message")
    if uses_tools(turns, tools) and (missing := left_out(renderer.tokenizer, turns, tools, True)) is not None:
        raise RowRejected(reasons.TOOL_CALLS, f"the chat template leaves out {missing}")
    if len(ids) > limit:
        raise RowRejected(reasons.PROMPT_TOO_LONG, f"{len(ids)} tokens, at most {limit}")
    return ids
