"""Datasets as users have them: what is brought to the standard form, what is still refused, and what is told."""

import json
import re
import uuid
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic.alias_generators import to_snake

from distillation_api.contract import PrepareProgram, Source, StageResult
from distillation_stages.data.conversations import Conversation, from_columns, from_messages
from distillation_stages.data.formats import FORMATS
from distillation_stages.data.normalise import Conversion
from distillation_stages.programs.prepare import columns_of, normalise, run
from distillation_stages.runtime.failure import RowRejected, StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import assistant, rows_in, spec_of, system, user, write_lines

PAGE = Path(__file__).parents[3] / "docs" / "data.md"
CASES = Path(__file__).parent / "cases"
DOCUMENTED = re.findall(
    r"^\| ([^|]+) \| [^|]+ \| (`[^|]+`) \| \[([^]]+)\]\([^)]+\) \|$", PAGE.read_text(), re.MULTILINE
)
"""Format, members of the spec and name of the example, of each row of the page."""


def lines_of(cell: str) -> list[str]:
    """The lines of YAML in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def members_of(cell: str) -> dict[str, str]:
    """The program's members that the lines set, as YAML reads them."""
    return {to_snake(name): value for line in lines_of(cell) for name, value in yaml.safe_load(line).items()}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def prepare(storage: Storage, rows: list[object] | str, **members: object) -> StageResult:
    """Run the program over rows, or over the case of that name."""
    lines = (CASES / f"{rows}.jsonl").read_text().splitlines() if isinstance(rows, str) else rows
    write_lines(storage.at("data.jsonl"), lines)
    program = PrepareProgram.model_validate({"source": Source(path="data.jsonl"), "holdout": 0, **members})
    return run(spec_of(program, uuid.uuid4().hex), storage)


def converted(result: StageResult) -> dict[str, int]:
    return {name: count for name, count in result.counts.items() if name.startswith("converted.")}


def refusal(messages: object) -> str:
    with pytest.raises(RowRejected) as caught:
        from_messages(messages)
    return caught.value.reason.name


# The formats of docs/data.md.


@pytest.mark.parametrize(("members", "example"), [row[1:] for row in DOCUMENTED], ids=[row[2] for row in DOCUMENTED])
def test_a_documented_format_is_read_by_its_lines_of_the_spec(storage: Storage, members: str, example: str) -> None:
    result = prepare(storage, example, **members_of(members))
    assert result.counts["kept"] == len((CASES / f"{example}.jsonl").read_text().splitlines())
    assert not [name for name in result.counts if name.startswith("unread.")], "text that nobody reads"
    has_answers = "response_column" in members_of(members) or "messages_column" in members_of(members)
    assert all((row["reference"] is not None) is has_answers for row in rows_in(storage, result.outputs["train"]))


@pytest.mark.parametrize(("members", "example"), [row[1:] for row in DOCUMENTED], ids=[row[2] for row in DOCUMENTED])
def test_who_names_no_column_of_a_documented_format_is_told_its_lines(
    storage: Storage, members: str, example: str
) -> None:
    with pytest.raises(StageError) as caught:
        prepare(storage, example, messages_column="dialogue")
    assert caught.value.reason.name == "MissingColumn"
    lines = ", ".join(f"dataset.{line}" for line in lines_of(members))
    assert caught.value.message.endswith(f": set {lines}")


def test_each_known_format_is_documented_with_an_example() -> None:
    documented = {", ".join(f"dataset.{line}" for line in lines_of(members)) for _, members, _ in DOCUMENTED}
    assert {known.columns.in_spec() for known in FORMATS} == documented
    assert {example for _, _, example in DOCUMENTED} == {path.stem for path in CASES.glob("*.jsonl")}


def test_each_conversion_is_documented() -> None:
    assert re.findall(r"^\| `converted\.(\w+)` \|", PAGE.read_text(), re.MULTILINE) == [*Conversion]


# What is converted.


@pytest.mark.parametrize(
    ("case", "column", "counts"),
    [
        ("sharegpt-from-and-value", "conversations", {"converted.MessageKeys": 4, "converted.Roles": 4}),
        ("content-as-list-of-text-parts", "messages", {"converted.ContentParts": 3}),
        ("two-leading-system-messages", "messages", {"converted.SystemMerged": 3}),
        ("ultrachat-200k", "messages", {}),
    ],
)
def test_rows_that_were_converted_are_counted_by_what(
    storage: Storage, case: str, column: str, counts: dict[str, int]
) -> None:
    """U03, U08, U11."""
    assert converted(prepare(storage, case, messages_column=column)) == counts


def test_sharegpt_is_what_its_messages_say_in_the_standard_form(storage: Storage) -> None:
    """U03."""
    result = prepare(storage, "sharegpt-from-and-value", messages_column="conversations")
    first = rows_in(storage, result.outputs["train"])[0]
    assert first == {"row": 0, "prompt": [user("What is 0 plus one?")], "reference": "It is 1."}


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ([user([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])], [user("a\nb")]),
        ([user(["a", {"text": "b"}, {"type": "input_text", "text": "c", "image_url": None}])], [user("a\nb\nc")]),
        ([system("s"), system("t"), system("u"), user("q")], [system("s\n\nt\n\nu"), user("q")]),
        ([system(""), system("t"), user("q")], [system("t"), user("q")]),
        ([system(" "), system(""), user("q")], [system(""), user("q")]),
        ([{"role": "Human ", "content": "q"}], [user("q")]),
        ([{"role": "developer", "content": "s"}, user("q")], [system("s"), user("q")]),
        ([{"From": "human", "Value": "q"}], [user("q")]),
        ([{"speaker": "prompter", "text": "q"}], [user("q")]),
        ([{"role": None, "content": None, "from": "user", "value": "q", "text": None}], [user("q")]),
        ([{"role": "user", "content": "q", "text": "another"}], [user("q")]),
        ([{"role": "user", "content": "q", "tool_calls": [], "function_call": None}], [user("q")]),
    ],
)
def test_known_spellings_become_the_standard_form(messages: list[object], prompt: list[object]) -> None:
    """U03, U08, U11, and members that stand unused (U38)."""
    assert from_messages(messages).prompt == prompt


@pytest.mark.parametrize("name", ["assistant", "gpt", "GPT", "bot", "model", "chatgpt", "Bard"])
def test_an_answer_is_known_by_the_names_of_assistants(name: str) -> None:
    assert from_messages([user("q"), {"from": name, "value": "a"}]).reference == "a"


def test_the_standard_form_is_no_conversion() -> None:
    assert from_messages([system("s"), user("q"), assistant("a")]).conversions == frozenset()


@pytest.mark.parametrize(
    ("prompt", "response", "text"), [("2 + 2", 4, "4"), ("2 - 2", 0, "0"), ("-", -(10**20), "-1" + "0" * 20)]
)
def test_a_whole_number_in_a_column_is_its_digits(prompt: object, response: object, text: str) -> None:
    conversation = from_columns(prompt, response)
    assert conversation == Conversation(
        [{"role": "user", "content": str(prompt)}], text, frozenset({Conversion.NUMBERS})
    )


@pytest.mark.parametrize("value", [4.0, 0.1, float("nan"), True, False, {}, {"text": "a"}])
def test_what_has_no_one_spelling_as_text_is_refused_in_either_column(value: object) -> None:
    for columns in ((value, "a"), ("q", value)):
        with pytest.raises(RowRejected) as caught:
            from_columns(*columns)
        assert caught.value.reason.name == "ContentNotText"


# What is still refused.


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {}},
        {"type": "image", "text": "x"},
        {"type": "text"},
        {"type": [], "text": "x"},
        1,
    ],
)
def test_a_part_that_is_no_text_is_refused(part: object) -> None:
    assert refusal([user([{"type": "text", "text": "What is this?"}, part])]) == "PartNotText"


@pytest.mark.parametrize("role", ["environment", "narrator", None, 1, ["user"], {}])
def test_a_role_that_is_not_trained_is_refused_under_each_key(role: object) -> None:
    assert refusal([user("q"), {"role": role, "content": "a"}]) == "UnknownRole"
    assert refusal([user("q"), {"from": role, "value": "a"}]) == "UnknownRole"


@pytest.mark.parametrize(
    "message", [{"role": "user", "value": "a", "text": "b"}, {"from": "user", "author": "gpt", "content": "a"}]
)
def test_a_turn_with_two_readings_is_refused(message: object) -> None:
    assert refusal([message]) == "AmbiguousTurn"


@pytest.mark.parametrize(
    "messages", [[system("s"), user("q"), system("t"), user("r")], [user("q"), system("s"), system("t")]]
)
def test_a_system_message_behind_another_turn_stays_refused(messages: object) -> None:
    assert refusal(messages) == "SystemNotFirst"


def test_accounting_closes_and_rejected_rows_count_as_rejected_alone(storage: Storage) -> None:
    good = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    rows: list[object] = [{"c": good}, {"c": good}, {"c": [user("r")]}, {"c": [*good, {"from": "tool", "value": "x"}]}]
    assert prepare(storage, rows, messages_column="c").counts == {
        "read": 4,
        "kept": 2,
        "train": 2,
        "answers": 1,
        "holdout": 0,
        "duplicates": 1,
        "rejected.ToolsOutOfOrder": 1,
        "converted.MessageKeys": 2,
        "converted.Roles": 2,
    }


# What is told.


def test_rows_that_most_fail_name_the_nearest_format_before_the_example(storage: Storage) -> None:
    rows = [{"messages": None, **json.loads(line)} for line in (CASES / "sharegpt-from-and-value.jsonl").open()]
    with pytest.raises(
        StageError, match=r"NotAList 4\. .*ShareGPT: set dataset.messagesColumn: conversations\. Some as they are"
    ) as caught:
        prepare(storage, [*rows])
    assert caught.value.reason.name == "MostRowsRejected"


def test_a_column_of_messages_under_any_name_is_found(storage: Storage) -> None:
    with pytest.raises(StageError, match=r"set dataset\.messagesColumn: turns"):
        prepare(storage, [{"tags": ["a"], "turns": [user("q")]}])


def test_a_column_whose_name_cannot_be_told_is_not_named(storage: Storage) -> None:
    with pytest.raises(StageError) as caught:
        prepare(storage, [{"messages": "wrong", "turns \ud800": [user("q")]}])
    assert "messagesColumn" not in caught.value.message


def test_rows_of_no_known_format_get_no_hint(storage: Storage) -> None:
    with pytest.raises(StageError) as caught:
        prepare(storage, [{"messages": "wrong", "number": 1}])
    assert "format" not in caught.value.message


def test_a_missing_group_column_is_no_matter_of_formats(storage: Storage) -> None:
    with pytest.raises(StageError) as caught:
        prepare(storage, "ultrachat-200k", group_column="topic")
    assert "format" not in caught.value.message


def test_text_beside_the_prompt_that_nobody_reads_is_warned_of_and_counted(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    """U04."""
    members = {"prompt_column": "instruction", "response_column": "output"}
    result = prepare(storage, "alpaca", **members)
    assert (result.counts["duplicates"], result.counts["unread.input"]) == (1, 2)
    assert "warning: column 'input' of dataset data.jsonl has text in 2 rows and isn't read" in capsys.readouterr().err


def test_columns_that_are_read_or_empty_are_not_warned_of(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[object] = [{"question": "q", "context": " ", "system": None, "answer": "a", "id": "1"}]
    result = prepare(storage, rows, prompt_column="question", response_column="answer")
    assert not [name for name in result.counts if name.startswith("unread.")]
    assert "warning" not in capsys.readouterr().err


def test_a_system_column_beside_messages_is_warned_of(storage: Storage) -> None:
    result = prepare(storage, [{"messages": [user("q")], "system": "Be kind.", "input": "q"}])
    assert {name for name in result.counts if name.startswith("unread.")} == {"unread.system"}


# Any row.

TEXTS = st.text(st.characters(exclude_categories=()))
"""Lone surrogates among them, which JSON can hold as escapes."""
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
KEYS = st.sampled_from(["role", "from", "content", "value", "text", "type", "Role", "Value"])
NAMES = st.sampled_from(["user", "human", "Human", "gpt", "assistant", "system", "tool", "text"])
JSON = st.recursive(
    SCALARS | NAMES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | TEXTS, inner, max_size=4)
)
PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text") | JSON, "text": TEXTS | JSON}), max_size=3)
QUESTIONS = st.fixed_dictionaries({"from": st.sampled_from(["human", "user"]), "value": TEXTS | PARTS | JSON})
ANSWERS = st.fixed_dictionaries(
    {"role": NAMES | JSON, "content": TEXTS | PARTS | JSON},
    optional={"from": NAMES, "value": JSON, "tool_calls": JSON, "function_call": JSON}
    | {"thinking": TEXTS | JSON, "weight": JSON},
)
MESSAGES = st.lists(QUESTIONS | ANSWERS, max_size=4)


@given(JSON | MESSAGES, JSON | MESSAGES, JSON)
@example([{"from": "human", "value": ["half \ud800"]}], "half \udfff", 1)
def test_any_json_is_read_or_rejected_and_what_is_read_can_be_stored(
    first: object, second: object, group: object
) -> None:
    row = {"a": first, "b": second, "group": group}
    for members in (
        {"messages_column": "a"},
        {"messages_column": "a", "system_column": "b", "messages": {"role_key": "text", "roles": {"user": ["gpt"]}}},
        {"prompt_column": "a", "response_column": "b"},
        {"prompt_template": "{{ a }}{% for part in b %}{{ part }}{% endfor %}", "response_column": "b"},
    ):
        program = PrepareProgram.model_validate(
            {"source": Source(path="p"), "holdout": 0, "group_column": "group", **members}
        )
        try:
            conversation, _ = normalise(program, columns_of(program), row)
        except RowRejected:
            continue
        assert conversation.prompt[-1]["role"] in ("user", "tool")
        assert all(turn["content"].encode() is not None for turn in conversation.prompt)
        assert from_messages(conversation.prompt).conversions == frozenset()
