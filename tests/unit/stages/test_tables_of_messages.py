"""Messages in the forms that tables and exports have for them: JSON text, maps, bytes, objects on one line."""

import csv
import json
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillation_api.contract import PrepareProgram, Source, StageResult
from distillation_stages.data.conversations import from_columns, from_messages
from distillation_stages.data.normalise import Conversion
from distillation_stages.programs.prepare import run
from distillation_stages.runtime.failure import RowRejected, StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import assistant, rows_in, spec_of, user

MESSAGES = [user("q"), assistant("a")]
QUESTION = {"prompt_column": "q", "response_column": "a"}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def prepare(storage: Storage, name: str, **members: object) -> StageResult:
    program = PrepareProgram.model_validate({"source": Source(path=name), "holdout": 0, **members})
    return run(spec_of(program, uuid.uuid4().hex), storage)


def conversations(storage: Storage, result: StageResult) -> list[tuple[str, str]]:
    rows = sorted(rows_in(storage, result.outputs["train"]), key=lambda row: int(row["row"]))
    return [(row["prompt"][-1]["content"], row["reference"]) for row in rows]


# JSON text.


@pytest.mark.parametrize("text", [json.dumps(MESSAGES), f" \n{json.dumps(MESSAGES, indent=2)}\n"])
def test_messages_as_json_text_are_read(text: str) -> None:
    conversation = from_messages(text)
    assert (conversation.prompt, conversation.reference) == ([user("q")], "a")
    assert conversation.conversions == {Conversion.JSON_TEXT}


def test_messages_as_json_text_in_csv_are_counted(storage: Storage) -> None:
    with storage.at("data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["messages"], [json.dumps(MESSAGES)]])
    result = prepare(storage, "data.csv")
    assert conversations(storage, result) == [("q", "a")]
    assert result.counts["converted.JsonText"] == 1


@pytest.mark.parametrize("text", [str(MESSAGES), "[" * 100_000, "[broken"])
def test_text_that_is_nearly_json_is_told_as_that(text: str) -> None:
    with pytest.raises(RowRejected) as caught:
        from_messages(text)
    assert (caught.value.reason.name, caught.value.detail) == ("NotAList", "a text begins with [ and is no JSON")


def test_other_texts_are_no_messages() -> None:
    for text in ("hello", "", '{"role": "user"}'):
        with pytest.raises(RowRejected) as caught:
            from_messages(text)
        assert (caught.value.reason.name, caught.value.detail) == ("NotAList", "")
    with pytest.raises(RowRejected, match="Empty"):
        from_messages("[]")


def test_a_prompt_is_never_taken_for_json() -> None:
    assert from_columns(json.dumps(MESSAGES)).prompt == [user(json.dumps(MESSAGES))]


# Types of tables.


def test_messages_as_maps_are_read(storage: Storage) -> None:
    """As Spark writes them."""
    kind = pa.list_(pa.map_(pa.string(), pa.string()))
    maps = pa.array([[list(turn.items()) for turn in MESSAGES]], kind)
    pq.write_table(pa.table({"messages": maps}), storage.at("data.parquet"))
    assert conversations(storage, prepare(storage, "data.parquet")) == [("q", "a")]


def test_a_map_that_has_a_key_twice_costs_its_row_alone(storage: Storage) -> None:
    kind = pa.list_(pa.map_(pa.string(), pa.string()))
    good = [list(turn.items()) for turn in MESSAGES]
    twice = [[("role", "user"), ("role", "assistant"), ("content", "r")]]
    pq.write_table(pa.table({"messages": pa.array([good, twice, good], kind)}), storage.at("data.parquet"))
    counts = prepare(storage, "data.parquet").counts
    assert (counts["kept"], counts["duplicates"], counts["rejected.TurnNotAnObject"]) == (1, 1, 1)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_texts_that_are_not_marked_as_such_are_read(storage: Storage, kind: pa.DataType) -> None:
    table = pa.table({"q": pa.array([b"q", "\u00e4".encode()], kind), "a": pa.array([b"a", None], kind)})
    pq.write_table(table, storage.at("data.parquet"))
    assert conversations(storage, prepare(storage, "data.parquet", **QUESTION)) == [("q", "a"), ("\u00e4", None)]


def test_texts_in_turns_that_are_not_marked_as_such_are_read(storage: Storage) -> None:
    turn = pa.struct([("role", pa.binary()), ("content", pa.binary())])
    turns = [{"role": b"user", "content": b"q"}, {"role": b"assistant", "content": b"a"}]
    pq.write_table(pa.table({"messages": pa.array([turns], pa.list_(turn))}), storage.at("data.parquet"))
    assert conversations(storage, prepare(storage, "data.parquet")) == [("q", "a")]


def test_bytes_that_are_no_text_cost_their_row(storage: Storage) -> None:
    pq.write_table(pa.table({"q": [b"\xff", b"q", b"r"], "a": [b"a", b"a", b"a"]}), storage.at("data.parquet"))
    counts = prepare(storage, "data.parquet", **QUESTION).counts
    assert (counts["kept"], counts["rejected.ContentNotText"]) == (2, 1)


# Objects on one line.

THREE = [{"q": str(number), "a": "x"} for number in range(3)]


@pytest.mark.parametrize("between", ["", " ", "\t"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_objects_on_one_line_are_rows(storage: Storage, between: str, end: str) -> None:
    storage.at("data.json").write_text(between.join(map(json.dumps, THREE)) + end)
    result = prepare(storage, "data.json", **QUESTION)
    assert result.counts["read"] == 3
    assert conversations(storage, result) == [("0", "x"), ("1", "x"), ("2", "x")]


def test_a_first_line_with_something_else_behind_its_object_costs_one_row(storage: Storage) -> None:
    lines = [json.dumps(THREE[0]) + " # first", *map(json.dumps, THREE)]
    storage.at("data.json").write_text("\n".join(lines))
    counts = prepare(storage, "data.json", **QUESTION).counts
    assert (counts["kept"], counts["rejected.BrokenJson"]) == (3, 1)


def test_lines_with_spaces_at_their_ends_are_lines(storage: Storage) -> None:
    storage.at("data.json").write_text("".join(f"{json.dumps(row)} \t\r\n" for row in THREE) + "broken\n")
    counts = prepare(storage, "data.json", **QUESTION).counts
    assert (counts["kept"], counts["rejected.BrokenJson"]) == (3, 1)


def test_where_texts_are_no_json_in_most_rows_that_is_said(storage: Storage) -> None:
    with storage.at("data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["messages"], [str(MESSAGES)]])
    with pytest.raises(StageError, match=r"NotAList 1 \(a text begins with \[ and is no JSON\)"):
        prepare(storage, "data.csv")
