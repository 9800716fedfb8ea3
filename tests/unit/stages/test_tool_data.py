"""Conversations with tools as datasets spell them: read, kept whole in the prepared rows, or counted."""

import json
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillation_api.contract import PrepareProgram, Source, StageResult
from distillation_stages.data.conversations import from_messages
from distillation_stages.data.tables import PREPARED, parts_of
from distillation_stages.data.tool_use import Restored, restored, stored
from distillation_stages.programs.prepare import run
from distillation_stages.runtime.failure import RowRejected, StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import assistant, rows_in, spec_of, system, user, write_lines

WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "The weather of a town.",
    "parameters": {"type": "object", "properties": {"town": {"type": "string", "default": None}}, "required": ["town"]},
}
TOOL = {"type": "function", "function": WEATHER}
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"town": "Oslo"}}}
TEXT = json.dumps({"name": "weather", "arguments": {"town": "Oslo"}})
CALLING = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT = {"role": "tool", "content": '{"celsius": 4}'}
WHOLE: list[Any] = [user("How warm?"), CALLING, RESULT, assistant("4 degrees.")]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def prepare(storage: Storage, rows: list[object], **members: object) -> StageResult:
    write_lines(storage.at("data.jsonl"), rows)
    return prepare_file(storage, "data.jsonl", **members)


def prepare_file(storage: Storage, path: str, **members: object) -> StageResult:
    program = PrepareProgram.model_validate({"source": Source(path=path), "holdout": 0, **members})
    return run(spec_of(program, uuid.uuid4().hex), storage)


def read(storage: Storage, result: StageResult) -> list[Restored]:
    return [restored(row) for row in rows_in(storage, result.outputs["train"])]


def said(role: str, value: object) -> dict[str, object]:
    return {"from": role, "value": value}


# Spellings.


@pytest.mark.parametrize(
    "messages",
    [
        WHOLE,
        [user("How warm?"), {"role": "assistant", "content": None, "tool_calls": [CALL]}, RESULT, WHOLE[-1]],
        [user("How warm?"), {**CALLING, "tool_calls": json.dumps([CALL])}, RESULT, WHOLE[-1]],
        [
            user("How warm?"),
            {**CALLING, "tool_calls": [{"function": {"name": "weather", "arguments": '{"town": "Oslo"}'}}]},
            *WHOLE[2:],
        ],
        [
            user("How warm?"),
            {"role": "assistant", "content": None, "function_call": json.loads(TEXT), "tool_calls": []},
            {"role": "function", "content": RESULT["content"]},
            WHOLE[-1],
        ],
        [
            said("human", "How warm?"),
            said("function_call", TEXT),
            said("observation", RESULT["content"]),
            said("gpt", "4 degrees."),
        ],
        [said("human", "How warm?"), said("tool_calls", f"[{TEXT}]"), said("tool_response", RESULT["content"]),
         said("gpt", "4 degrees.")],
    ],
)  # fmt: skip
def test_each_spelling_of_calls_and_results_is_the_same_conversation(messages: list[object]) -> None:
    conversation = from_messages(messages)
    assert (conversation.prompt, conversation.reference) == (WHOLE[:3], "4 degrees.")
    assert from_messages([*conversation.prompt]).conversions == frozenset()


@pytest.mark.parametrize(
    "tools",
    [
        [TOOL],
        TOOL,
        json.dumps([TOOL]),
        json.dumps([WEATHER]),
        json.dumps(WEATHER),
        [json.dumps(TOOL)],
        json.dumps([{"type": "function", **WEATHER}]),
        json.dumps([{"function": WEATHER}]),
    ],
)
def test_each_spelling_of_tools_is_the_same(tools: object) -> None:
    made = from_messages(WHOLE).with_tools(tools).tools
    assert made is not None
    # Null is meant in a text, where it isn't what a table fills up with.
    of_text = isinstance(tools, str) or (isinstance(tools, list) and isinstance(tools[0], str))
    assert made[0]["function"]["parameters"]["properties"]["town"] == (
        {"type": "string", "default": None} if of_text else {"type": "string"}
    )
    assert (len(made), made[0]["type"], made[0]["function"]["name"]) == (1, "function", "weather")


def test_ids_and_names_that_tell_which_call_a_result_is_of_are_kept() -> None:
    calls = [{**CALL, "id": f"call0000{number}"} for number in range(2)]
    results = [{**RESULT, "tool_call_id": call["id"], "name": "weather"} for call in calls]
    messages = [system("s"), user("q"), {**CALLING, "content": "Let me see.", "tool_calls": calls}, *results]
    assert from_messages(messages).prompt == messages


def test_a_call_is_an_answer_and_the_tool_is_asked_about_last() -> None:
    assert from_messages([user("q"), CALLING]).reference == CALLING
    assert from_messages([user("q"), CALLING, RESULT]).reference is None
    assert from_messages(WHOLE).answers == 2


@pytest.mark.parametrize("tools", ["a hammer", ["a hammer"], [1], [{"type": "web_search"}], [{"name": " "}], "{"])
def test_what_is_no_tool_is_refused_where_it_is_named(tools: object) -> None:
    with pytest.raises(RowRejected) as caught:
        from_messages([user("q")]).with_tools(tools)
    assert caught.value.reason.name == "BadTools"


@pytest.mark.parametrize("value", [float("nan"), b"bytes", {1, 2}])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(RowRejected) as caught:
        from_messages([user("q")]).with_tools([{"name": "f", "parameters": {"default": value}}])
    assert caught.value.reason.name == "BadTools"


@pytest.mark.parametrize("opening", ['[{"a": ' * 50_000, "[" * 50_000])
def test_what_is_nested_too_deeply_is_refused(opening: str) -> None:
    nested: Any = []
    for _ in range(5_000):
        nested = [nested]
    for tools in (opening, nested):
        with pytest.raises(RowRejected) as caught:
            from_messages([user("q")]).with_tools(tools)
        assert caught.value.reason.name == "BadTools"


# Prepared rows.


def test_prepared_rows_hold_tools_calls_and_results_whole(storage: Storage) -> None:
    """U40."""
    rows: list[object] = [
        {"messages": WHOLE, "tools": json.dumps([TOOL])},
        {"messages": [user("r"), CALLING], "tools": [TOOL]},
        {"messages": [user("q"), assistant("a")]},
    ]
    result = prepare(storage, rows)
    whole, call, plain = read(storage, result)
    assert whole == Restored(WHOLE[:3], "4 degrees.", [TOOL])
    assert call.reference == CALLING and call.tools is not None
    assert plain == Restored([user("q")], "a", None)
    assert (result.counts["withTools"], result.counts["answers"]) == (2, 4)


def test_who_reads_the_prompt_alone_still_finds_its_texts(storage: Storage) -> None:
    (row,) = rows_in(storage, prepare(storage, [{"messages": WHOLE, "tools": [TOOL]}]).outputs["train"])
    assert row["prompt"] == [user("How warm?"), assistant(""), RESULT]


def test_a_dataset_without_tools_is_written_as_ever(storage: Storage) -> None:
    result = prepare(storage, [{"messages": [user("q"), assistant("a")], "tools": []}])
    (part,) = parts_of(storage.at(result.outputs["train"]))
    assert pq.read_schema(part).equals(PREPARED)
    assert not {"withTools", "unread.tools"} & set(result.counts)


def test_the_same_question_with_other_tools_is_another_one(storage: Storage) -> None:
    others = [{"messages": [user("q")], "tools": [{"name": name}]} for name in ("f", "g", "f")]
    assert prepare(storage, [*others]).counts["duplicates"] == 1


def test_in_tables_members_that_other_tools_have_are_absent(storage: Storage) -> None:
    other = {"name": "clock", "parameters": {"properties": {"zone": {"type": "string"}}}}
    bare = [{"name": "weather", "parameters": {"properties": {"town": {"type": "string"}}}}, other]
    messages = [[user("q"), {**CALLING, "tool_calls": [CALL]}], [user("r"), assistant("a")]]
    table = pa.table({"messages": messages, "tools": [bare, bare]})
    pq.write_table(table, storage.at("data.parquet"))
    first, second = read(storage, prepare_file(storage, "data.parquet"))
    assert first.reference == CALLING and second.reference == "a"
    assert first.tools == second.tools == [{"type": "function", "function": tool} for tool in bare]


def test_any_conversation_is_restored_as_it_was() -> None:
    for messages in (WHOLE, WHOLE[:2], [user("q")], [system("s"), *WHOLE, user("r"), CALLING]):
        conversation = from_messages(messages).with_tools([TOOL])
        again = restored({"row": 0, **stored(conversation)})
        assert (again.prompt, again.reference, again.tools) == (
            conversation.prompt,
            conversation.reference,
            conversation.tools,
        )


# Columns.


def test_a_column_of_that_name_with_other_things_is_passed_over_and_counted(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    result = prepare(storage, [{"messages": [user("q"), assistant("a")], "tools": "a hammer"}])
    assert (result.counts["kept"], result.counts["unread.tools"]) == (1, 1)
    assert "withTools" not in result.counts
    assert "warning: column 'tools'" in capsys.readouterr().err


def test_calls_as_text_with_tools_in_the_system_message_stay_as_they_are(storage: Storage) -> None:
    messages = [system("<tools>...</tools>"), user("q"), assistant(f"<tool_call>{TEXT}</tool_call>")]
    result = prepare(storage, [{"messages": messages, "tools": [TOOL]}])
    assert read(storage, result) == [Restored(messages[:2], str(messages[2]["content"]), None)]
    assert result.counts["unread.tools"] == 1


def test_a_named_column_is_read_beside_any_prompt(storage: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[object] = [{"query": "q", "tools": json.dumps([WEATHER])}]
    assert prepare(storage, rows, prompt_column="query").counts["unread.tools"] == 1
    assert "set under dataset: toolsColumn: tools" in capsys.readouterr().err
    (row,) = read(storage, prepare(storage, rows, prompt_column="query", tools_column="tools"))
    assert row.tools == [TOOL]


def test_a_named_column_must_be_there(storage: Storage) -> None:
    with pytest.raises(StageError) as caught:
        prepare(storage, [{"messages": WHOLE}], tools_column="functions")
    assert caught.value.reason.name == "MissingColumn" and "'functions'" in caught.value.message
