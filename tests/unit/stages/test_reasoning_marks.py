"""U18: reasoning between other marks than <think>, most of them special tokens, which vLLM leaves out of its text."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from distillation_stages.models.reasoning import Policy, apply_reasoning_policy, opens_reasoning
from distillation_stages.models.reasoning_marks import MARKS, REASONERS, THINK, Marks
from distillation_stages.models.served_architectures import SERVED
from distillation_stages.models.teacher_reasoning import TeacherReasoning, find_reasoning
from distillation_stages.runtime.failure import RowRejected, StageError
from support.reasoning_texts import ANSWER, COHERE, GEMMA4, HARMONY, TEXTS, THOUGHT, Answered

BY_NAME = {marks.name: marks for marks in MARKS}
OTHERS = [answered for answered in TEXTS if answered.family != "think"]
each = pytest.mark.parametrize("answered", TEXTS, ids=lambda answered: answered.parser)
each_other = pytest.mark.parametrize("answered", OTHERS, ids=lambda answered: answered.parser)


@dataclass
class Tokenizer:
    """What is asked of a tokenizer of transformers: texts are its special tokens and letters."""

    chat_template: str = "{{ messages }}"
    special: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    begins: str = ""
    """What the template writes after the question."""
    all_special_tokens: list[str] = field(default_factory=lambda: ["<eos>"])

    @property
    def added_tokens_decoder(self) -> dict[int, Any]:
        tokens = [*((token, True) for token in self.special), *((token, False) for token in self.plain)]
        return {number: _Token(token, special) for number, (token, special) in enumerate(tokens, start=1)}

    def get_chat_template(self) -> str:
        return self.chat_template

    def get_vocab(self) -> dict[str, int]:
        return {str(token): number for number, token in self.added_tokens_decoder.items()}

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [number for token, number in self.get_vocab().items() if token in text] or [0]

    def apply_chat_template(self, turns: list[dict[str, str]], **_: object) -> str:
        return f"user: {turns[-1]['content']}\nmodel: {self.begins}"


class _Token(SimpleNamespace):
    def __init__(self, content: str, special: bool) -> None:
        super().__init__(content=content, special=special)

    def __str__(self) -> str:
        return str(self.content)


def settled(answered: Answered, policy: Policy) -> str:
    return apply_reasoning_policy(answered.text, policy, False, BY_NAME[answered.family])


def teacher(*names: str, policy: Policy = "StripClosed", **members: Any) -> TeacherReasoning:
    return find_reasoning(Tokenizer(**members), names, policy)


# What becomes of it.


def test_every_family_has_a_text() -> None:
    assert {answered.family for answered in TEXTS} == set(BY_NAME)


@each
def test_closed_reasoning_is_taken_out_with_its_marks(answered: Answered) -> None:
    assert settled(answered, "StripClosed") == answered.answer


@each
def test_kept_reasoning_is_text_that_any_student_can_say(answered: Answered) -> None:
    if answered.reasoning:
        assert settled(answered, "Keep") == f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"
        assert settled(answered, "RequireClosed") == settled(answered, "Keep")


@each_other
@pytest.mark.parametrize("policy", ["StripClosed", "RequireClosed"])
def test_reasoning_that_does_not_end_is_rejected(answered: Answered, policy: Policy) -> None:
    marks = BY_NAME[answered.family]
    with pytest.raises(RowRejected) as caught:
        apply_reasoning_policy(f"{marks.opening}{marks.label}{THOUGHT}", policy, False, marks)
    assert caught.value.reason.name == "OpenReasoning"
    kept = apply_reasoning_policy(f"{marks.opening}{marks.label}{THOUGHT}", "Keep", False, marks)
    assert kept == f"<think>\n{THOUGHT}"


def test_of_a_teacher_whose_every_word_is_in_a_channel_nothing_but_the_final_one_is_an_answer() -> None:
    with pytest.raises(RowRejected) as caught:
        apply_reasoning_policy(
            "<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>commentary<|message|>a call<|end|>",
            "StripClosed",
            False,
            BY_NAME["harmony"],
        )
    assert caught.value.reason.name == "OpenReasoning"


@pytest.mark.parametrize("marks", MARKS, ids=lambda marks: marks.name)
def test_an_answer_without_marks_is_an_answer(marks: Marks) -> None:
    assert apply_reasoning_policy(ANSWER, "StripClosed", False, marks) == ANSWER
    assert apply_reasoning_policy(ANSWER, "Keep", False, marks) == ANSWER
    with pytest.raises(RowRejected) as caught:
        apply_reasoning_policy(ANSWER, "RequireClosed", False, marks)
    assert caught.value.reason.name == "NoReasoning"


@pytest.mark.parametrize("marks", MARKS, ids=lambda marks: marks.name)
def test_other_marks_than_those_of_the_vocabulary_are_found_too(marks: Marks) -> None:
    """Fine-tuned on the text <think>, with a tokenizer that has marks of its own."""
    assert apply_reasoning_policy(f"<think>{THOUGHT}</think>{ANSWER}", "StripClosed", False, marks) == ANSWER


@each
def test_a_template_may_open_the_reasoning(answered: Answered) -> None:
    marks = BY_NAME[answered.family]
    if not answered.reasoning:
        return
    rest = answered.text.removeprefix(marks.opening).removeprefix(marks.label)
    assert opens_reasoning(f"question\nmodel: {marks.opening}{marks.label}", marks)
    assert apply_reasoning_policy(rest, "StripClosed", True, marks) == answered.answer
    assert apply_reasoning_policy(rest, "Keep", True, marks).startswith("<think>\n")


# Which marks a teacher has.


@each
def test_marks_are_found_from_the_template(answered: Answered) -> None:
    marks = BY_NAME[answered.family]
    found = teacher(chat_template=f"... {(marks.spoken or (marks.opening,))[0]} ...", special=answered.special)
    assert (found.marks.name, found.expected) == (answered.family, True)
    assert "chat template" in found.found_in
    assert found.keeps_special_tokens == bool(answered.special)
    assert marks.opening in str(found)


@pytest.mark.parametrize(
    ("special", "architecture", "name"),
    [(HARMONY, "GptOssForCausalLM", "harmony"), (GEMMA4, "Gemma4ForCausalLM", "gemma4"), (COHERE, "", "cohere")],
)
def test_marks_are_found_from_the_vocabulary_where_the_template_is_the_jobs(
    special: tuple[str, ...], architecture: str, name: str
) -> None:
    found = teacher(architecture, special=special)
    assert (found.marks.name, found.found_in, found.expected) == (name, "vocabulary", False)


def test_the_template_has_the_word_over_the_vocabulary() -> None:
    """Vocabularies of Mistral's have [THINK] whether the model reasons or not."""
    found = teacher(chat_template="{{ '</think>' }}", special=("[THINK]", "[/THINK]"))
    assert (found.marks, found.keeps_special_tokens) == (THINK, False)


def test_marks_that_are_plain_tokens_need_nothing_of_the_engine() -> None:
    found = teacher(chat_template="<think>", special=("<eos>",), plain=("<think>", "</think>"))
    assert found.marks is THINK
    assert not found.keeps_special_tokens


def test_a_teacher_that_nothing_is_known_of_is_looked_at_as_before() -> None:
    found = teacher("LlamaForCausalLM", special=("<eos>",))
    assert (found.marks, found.found_in, found.expected, found.keeps_special_tokens) == (THINK, "", False, False)
    assert "nothing tells" in str(found)


@pytest.mark.parametrize(
    ("special", "begins", "expected"),
    [
        ((), "", True),
        ((), "<think>\n", True),
        ((), "<think>\n\n</think>\n\n", False),
    ],
)
def test_reasoning_that_is_switched_off_is_not_expected(special: tuple[str, ...], begins: str, expected: bool) -> None:
    found = teacher(chat_template="<think>", special=special, begins=begins)
    assert found.expected is expected
    assert found.opened is (begins == "<think>\n")


@pytest.mark.parametrize("architecture", ["GptOssForCausalLM", "Gemma4ForConditionalGeneration", "InklingForCausalLM"])
def test_a_known_reasoner_whose_marks_are_not_found_is_refused(architecture: str) -> None:
    with pytest.raises(StageError, match=rf"{architecture}.*generation\.chatTemplate.*generation\.reasoning") as caught:
        teacher(architecture, special=("<eos>",))
    assert (caught.value.reason.name, caught.value.reason.exit_code) == ("ReasoningMarksUnknown", 65)
    assert teacher(architecture, special=("<eos>",), policy="Keep").marks is THINK


def test_known_reasoners_are_architectures_that_vllm_serves() -> None:
    assert REASONERS <= SERVED


# Special tokens.


@each
def test_no_special_token_stands_in_a_completion(answered: Answered) -> None:
    marks = BY_NAME[answered.family]
    special = (*answered.special, "<eos>", "<|im_end|>")
    found = teacher(chat_template=f"... {(marks.spoken or (marks.opening,))[0]} ...", special=special)
    if not answered.special:
        assert found.completion(answered.text, "StripClosed") == answered.answer
        return
    for policy in ("StripClosed", "Keep"):
        completion = found.completion(f"<eos>{answered.text}<|im_end|><eos>", policy)
        assert not [token for token in (*special, *marks.all()) if token in completion]
        assert completion.endswith(answered.answer)
    assert found.is_in(answered.text) == (marks.opening in answered.text)


def test_special_tokens_that_appear_when_others_go_are_taken_out_too() -> None:
    found = teacher(chat_template="[THINK]", special=("[THINK]", "[/THINK]", "</s>", "<|x|>"))
    assert found.completion(f"{ANSWER}</<|x|>s></s>", "StripClosed") == ANSWER


def test_marks_that_are_special_tokens_of_the_family_of_think_stay_as_they_are() -> None:
    found = teacher(chat_template="<think>", special=("<think>", "</think>", "<|im_end|>"))
    text = f"<think>{THOUGHT}</think>{ANSWER}"
    assert found.completion(f"{text}<|im_end|>", "Keep") == text
    assert found.completion(f"{text}<|im_end|>", "StripClosed") == ANSWER
