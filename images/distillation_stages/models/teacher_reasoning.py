"""Which marks a teacher puts around its reasoning: found from its vocabulary, chat template and architecture."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from distillation_api import reasons
from distillation_stages.models.reasoning import (
    Policy,
    apply_reasoning_policy,
    has_reasoning,
    opens_reasoning,
    without_control_tokens,
)
from distillation_stages.models.reasoning_marks import MARKS, REASONERS, THINK, Marks
from distillation_stages.runtime.failure import StageError

_QUESTION = "a question after which the template begins an answer"


@dataclass(frozen=True)
class TeacherReasoning:
    """How one teacher reasons."""

    marks: Marks
    found_in: str
    """What speaks of the marks; empty where nothing does: then they are looked for all the same."""
    opened: bool = False
    """True when the chat template itself opens the reasoning."""
    expected: bool = False
    """True when the chat template knows of reasoning and doesn't switch it off."""
    control: frozenset[str] = frozenset()
    """The tokenizer's special tokens, where the marks are some of these; empty otherwise."""

    @property
    def keeps_special_tokens(self) -> bool:
        """Whether the engine must write special tokens, which it leaves out by default, for marks to be seen."""
        return bool(self.control)

    def keeping(self, tokenizer: Any, marks: Collection[str]) -> "TeacherReasoning":
        """The same for answers in which these special tokens, of the ``tokenizer``, are a part of what is said."""
        if not marks:
            return self
        return replace(self, control=(self.control or special_tokens(tokenizer)) - frozenset(marks))

    def completion(self, text: str, policy: Policy) -> str:
        """What the student is to learn of the engine's text. Raises RowRejected."""
        return apply_reasoning_policy(self._clean(text), policy, self.opened, self.marks)

    def is_in(self, text: str) -> bool:
        """True for an engine's text with reasoning."""
        return has_reasoning(self._clean(text), self.opened, self.marks)

    def _clean(self, text: str) -> str:
        return without_control_tokens(text, self.control, self.marks) if self.control else text

    def __str__(self) -> str:
        if not self.found_in:
            return f"nothing tells how the teacher marks reasoning; {THINK.opening} is looked for"
        marks = f"{self.marks.opening!r} and {self.marks.closing!r}"
        return f"the teacher marks its reasoning with {marks} ({self.marks.name}, found in its {self.found_in})"


def find_reasoning(tokenizer: Any, architectures: Iterable[str], policy: Policy) -> TeacherReasoning:
    """How the teacher with this tokenizer, of transformers and with its chat template, reasons.

    Raises StageError, before an engine is loaded, for an architecture that reasons between marks which aren't found.
    """
    template, names = str(tokenizer.get_chat_template()), set(map(str, architectures))
    marks, found_in = _find(template, set(tokenizer.get_vocab()))
    unknown = sorted(names & REASONERS)
    if unknown and not found_in and policy != "Keep":
        raise StageError(
            reasons.REASONING_MARKS_UNKNOWN,
            f"the teacher ({', '.join(unknown)}) reasons before it answers, but neither its vocabulary nor its chat "
            f"template has marks that are known ({', '.join(known.opening for known in MARKS)}): its reasoning would "
            f"be learnt as if it were the answer. generation.reasoning is {policy}: give a chat template that has the "
            "marks in generation.chatTemplate, or set generation.reasoning to Keep",
        )
    try:
        turns = [{"role": "user", "content": _QUESTION}]
        prompt = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    except Exception:  # Templates raise whatever they like; that this one does is told where prompts are rendered.
        prompt = ""
    begun = prompt.rpartition(_QUESTION)[2]
    switched_off = marks.answer in begun if marks.answer else marks.closing in begun
    return TeacherReasoning(
        marks,
        found_in,
        opened=opens_reasoning(prompt, marks),
        expected=marks.is_spoken_of(template) and not switched_off,
        control=_control_tokens(tokenizer, marks) if found_in else frozenset(),
    )


def special_tokens(tokenizer: Any) -> frozenset[str]:
    """The tokenizer's special tokens."""
    added = (str(token) for token in tokenizer.added_tokens_decoder.values() if token.special)
    return frozenset({*added, *map(str, tokenizer.all_special_tokens)})


def _find(template: str, vocabulary: set[str]) -> tuple[Marks, str]:
    """The marks, and what speaks of them. The template has the word: vocabularies are shared by many models."""
    spoken = [marks for marks in MARKS if marks.is_spoken_of(template)]
    for marks in spoken:
        if marks.is_in(vocabulary):
            return marks, "chat template and vocabulary"
    if spoken:
        return spoken[0], "chat template"
    for marks in MARKS:
        if marks.is_in(vocabulary):
            return marks, "vocabulary"
    return THINK, ""


def _control_tokens(tokenizer: Any, marks: Marks) -> frozenset[str]:
    """The special tokens, if a mark has one in it: an engine that leaves these out would leave out the mark."""
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    used = {int(token) for mark in marks.all() for token in tokenizer.encode(mark, add_special_tokens=False)}
    return special_tokens(tokenizer) if used & special else frozenset()
