"""Members of a message beside its role and content that decide what is learnt."""

import uuid
from pathlib import Path

import pytest

from distillation_api.contract import PrepareProgram, Source, StageResult
from distillation_stages.data.conversations import from_columns, from_messages, up_to_last_answer
from distillation_stages.data.normalise import Conversion, Vocabulary
from distillation_stages.data.tool_use import restored, stored
from distillation_stages.maxtext.trainable_text import render_every_turn
from distillation_stages.programs.prepare import run
from distillation_stages.runtime.failure import RowRejected
from distillation_stages.runtime.storage import Storage
from unit.stages.letter_tokenizer import LetterTokenizer
from unit.stages.stage_inputs import assistant, rows_in, spec_of, user, write_lines

CALLS = [{"type": "function", "function": {"name": "weather", "arguments": {"town": "Oslo"}}}]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def prepare(storage: Storage, rows: list[object]) -> StageResult:
    write_lines(storage.at("data.jsonl"), rows)
    program = PrepareProgram.model_validate({"source": Source(path="data.jsonl"), "holdout": 0})
    return run(spec_of(program, uuid.uuid4().hex), storage)


# Answers that aren't to be learnt.

UNLEARNT = [{"weight": 0}, {"weight": 0.0}, {"train": False}, {"training": False}, {"loss": False}, {"loss": 0}]
LEARNT: list[dict[str, object]] = [
    {"weight": 1},
    {"weight": 0.5},
    {"weight": None},
    {"train": True},
    {"loss": True},
    {"weight": "heavy", "loss": [], "train": {}},
]
each_unlearnt = pytest.mark.parametrize("member", UNLEARNT, ids=str)


@each_unlearnt
def test_a_last_answer_that_is_not_to_be_learnt_is_no_reference(member: dict[str, object]) -> None:
    conversation = from_messages([user("q"), {**assistant("BAD"), **member}])
    assert (conversation.prompt, conversation.reference, conversation.answers) == ([user("q")], None, 0)
    assert conversation.conversions == {Conversion.UNLEARNT_ANSWER}


@each_unlearnt
def test_an_earlier_answer_that_is_not_to_be_learnt_is_only_given(member: dict[str, object]) -> None:
    """OpenAI's way to learn the last answer alone."""
    bad = {**assistant("BAD"), **member}
    conversation = from_messages([user("q"), bad, user("r"), assistant("good")])
    assert (conversation.reference, conversation.answers) == ("good", 1)
    assert [turn["content"] for turn in conversation.prompt] == ["q", "BAD", "r"]
    [row] = render_every_turn(LetterTokenizer(), 0, restored(stored(conversation)).prompt, "good")
    [learnt] = row.exchanges
    assert "good" in learnt.answer and "BAD" in learnt.given and "learnt" not in learnt.given
    unanswered = from_messages([user("p"), assistant("fine"), user("q"), bad, user("r")])
    assert up_to_last_answer(unanswered.prompt, unanswered.reference) == ([user("p")], "fine")


@pytest.mark.parametrize("member", LEARNT, ids=str)
def test_an_answer_that_says_nothing_against_it_is_learnt(member: dict[str, object]) -> None:
    """SlimOrca has weight 0 in turns of the user and 1 in answers."""
    messages = [{**user("q"), "weight": 0}, {**assistant("a"), **member}, user("r"), {**assistant("b"), **member}]
    conversation = from_messages(messages)
    assert (conversation.reference, conversation.answers, conversation.conversions) == ("b", 2, frozenset())


def test_answers_that_are_not_learnt_are_counted(storage: Storage) -> None:
    rows: list[object] = [
        {"messages": [user("a"), {**assistant("BAD"), "weight": 0}, user("b"), {**assistant("good"), "weight": 1}]},
        {"messages": [user("c"), {**assistant("BAD"), "weight": 0}]},
        {"messages": [user("d"), {**assistant("good"), "weight": 1}]},
    ]
    counts = prepare(storage, rows).counts
    assert (counts["kept"], counts["converted.UnlearntAnswer"], counts["answers"]) == (3, 2, 2)


def test_a_call_that_is_not_to_be_learnt_is_no_reference_either() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": CALLS, "weight": 0}
    assert from_messages([user("q"), call]).reference is None


def test_messages_in_a_response_column_are_looked_at_too() -> None:
    assert from_columns("q", [{**assistant("BAD"), "loss": False}]).reference is None


# Reasoning.

MEMBERS = ["reasoning_content", "reasoning", "thinking"]


@pytest.mark.parametrize("member", MEMBERS)
def test_reasoning_beside_an_answer_is_written_in_front_of_it(member: str) -> None:
    conversation = from_messages([user("q"), {**assistant("4"), member: "2 + 2 is 4.\n"}])
    assert conversation.reference == "<think>\n2 + 2 is 4.\n</think>\n\n4"
    assert conversation.conversions == {Conversion.REASONING}


def test_reasoning_that_has_its_marks_already_gets_no_second_pair() -> None:
    conversation = from_messages([user("q"), {**assistant("4"), "thinking": "<think>\nmuch\n</think>"}])
    assert conversation.reference == "<think>\nmuch\n</think>\n\n4"


@pytest.mark.parametrize("content", ["<think>\nmuch\n</think>\n\n4", "\n<think>much</think>4", "much</think>4"])
def test_an_answer_that_has_its_reasoning_already_stays_as_it_is(content: str) -> None:
    conversation = from_messages([user("q"), {**assistant(content), "reasoning_content": "much"}])
    assert (conversation.reference, conversation.conversions) == (content, frozenset())


@pytest.mark.parametrize("value", [None, "", " \n", True, 3, [], {"effort": "high"}])
def test_what_is_no_reasoning_changes_nothing(value: object) -> None:
    conversation = from_messages([user("q"), {**assistant("4"), "reasoning": value, "thinking": None}])
    assert (conversation.reference, conversation.conversions) == ("4", frozenset())


def test_only_an_answer_has_reasoning() -> None:
    assert from_messages([{**user("q"), "thinking": "much"}, assistant("4")]).prompt == [user("q")]
    blank = from_messages([user("q"), {**assistant(""), "thinking": "much"}])
    assert (blank.reference, blank.conversions) == (None, frozenset())


def test_reasoning_before_a_call_is_kept_beside_it() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": CALLS, "reasoning_content": "Ask."}
    assert from_messages([user("q"), call]).reference == {
        "role": "assistant",
        "content": "<think>\nAsk.\n</think>\n\n",
        "tool_calls": CALLS,
    }


def test_a_member_that_is_read_as_the_content_is_not_written_twice() -> None:
    messages = [{"role": "user", "reasoning": "q"}, {"role": "assistant", "reasoning": "a"}]
    conversation = from_messages(messages, vocabulary=Vocabulary(keys={"content": "reasoning"}))
    assert conversation.reference == "a"


def test_half_a_character_in_reasoning_rejects_the_row() -> None:
    with pytest.raises(RowRejected) as caught:
        from_messages([user("q"), {**assistant("4"), "thinking": "half \ud800"}])
    assert caught.value.reason.name == "LoneSurrogate"


def test_rows_with_reasoning_are_counted(storage: Storage) -> None:
    rows: list[object] = [
        {"messages": [user("a"), {**assistant("4"), "thinking": "much"}, user("b"), assistant("5")]},
        {"messages": [user("c"), assistant("6")]},
    ]
    result = prepare(storage, rows)
    assert result.counts["converted.Reasoning"] == 1
    assert rows_in(storage, result.outputs["train"])[0]["prompt"][1] == assistant("<think>\nmuch\n</think>\n\n4")
