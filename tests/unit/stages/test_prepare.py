"""Which rows become conversations, which are left out and counted, and which are held out."""

import json
import re
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillation_api import reasons
from distillation_api.contract import PrepareProgram, Source, StageResult
from distillation_stages.data.rejected_rows import shape
from distillation_stages.data.tables import parts_of
from distillation_stages.programs.prepare import MAX_ROWS_PER_PART, number_of_parts, run
from distillation_stages.runtime.failure import RowRejected, StageError
from distillation_stages.runtime.storage import Storage, sha256_of
from unit.stages.stage_inputs import OUTPUT, assistant, rows_in, spec_of, system, user, write_lines

GOOD = {"messages": [user("hello"), assistant("hi")]}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def prepare(storage: Storage, rows: list[object] | None = None, **members: object) -> StageResult:
    """Run the program over the rows as JSONL, or over what lies at ``path`` already."""
    path = str(members.pop("path", "data.jsonl"))
    if rows is not None:
        write_lines(storage.at(path), rows)
    program = PrepareProgram.model_validate({"source": Source(path=path), "holdout": 1, **members})
    # Each call is another stage: one with the fingerprint of a finished stage would take over its result.
    return run(spec_of(program, uuid.uuid4().hex), storage)


def numbered(count: int) -> list[object]:
    return [{"messages": [user(f"question {number}"), assistant(f"answer {number}")]} for number in range(count)]


def prompts_of(storage: Storage, result: StageResult, split: str) -> list[str]:
    return [row["prompt"][-1]["content"] for row in rows_in(storage, result.outputs[split])]


def test_how_the_storage_renames_a_directory_is_told(storage: Storage) -> None:
    assert prepare(storage, numbered(3)).settings == {"directoryRename": "AtOnce"}


# Cutting.


@pytest.mark.parametrize(
    ("messages", "roles", "reference"),
    [
        ([user("q")], ["user"], None),
        ([user("q"), assistant("a")], ["user"], "a"),
        ([system("s"), user("q"), assistant("a")], ["system", "user"], "a"),
        ([system(""), user("q"), assistant("a")], ["system", "user"], "a"),
        ([user("q"), assistant("a"), user("r")], ["user", "assistant", "user"], None),
        ([user("q"), assistant("a"), user("r"), assistant("b")], ["user", "assistant", "user"], "b"),
        ([user("q"), assistant(" ")], ["user"], None),
    ],
)
def test_a_conversation_is_cut_after_its_last_user_turn(
    storage: Storage, messages: list[object], roles: list[str], reference: str | None
) -> None:
    """V6: what is rendered for the teacher never ends with an answer."""
    result = prepare(storage, [{"messages": messages}], holdout=0)
    (row,) = rows_in(storage, result.outputs["train"])
    assert [turn["role"] for turn in row["prompt"]] == roles
    assert row["reference"] == reference


def test_prompt_and_response_columns_make_one_turn_each(storage: Storage) -> None:
    result = prepare(storage, [{"q": "why", "a": "so"}], prompt_column="q", response_column="a", holdout=0)
    (row,) = rows_in(storage, result.outputs["train"])
    assert row == {"row": 0, "prompt": [user("why")], "reference": "so"}


# What is left out.

CALLING = {"role": "assistant", "content": "a", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
TOOL = {"role": "tool", "content": "42"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"messages": [', "BrokenJson"),
        ('{"messages": NaN}', "NotAList"),
        ('{"messages": [{"role": "user", "content": NaN}]}', "ContentNotText"),
        ('["messages"]', "NotAnObject"),
        ({"other": 1}, "NoColumn"),
        ({"messages": "hello"}, "NotAList"),
        ({"messages": None}, "NotAList"),
        ({"messages": []}, "Empty"),
        ({"messages": ["hello"]}, "TurnNotAnObject"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "NoUserTurn"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "UnknownRole"),
        ({"messages": [system("s")]}, "NoUserTurn"),
        ({"messages": [system("s"), assistant("a")]}, "NoUserTurn"),
        ({"messages": [assistant("a"), user("q")]}, "AssistantFirst"),
        ({"messages": [user("q"), system("s"), user("r")]}, "SystemNotFirst"),
        ({"messages": [user("q"), assistant("a"), assistant("b")]}, "ConsecutiveRoles"),
        ({"messages": [user("q"), user("r")]}, "ConsecutiveRoles"),
        ({"messages": [user(None)]}, "ContentNotText"),
        ({"messages": [user("q"), TOOL, assistant("a")]}, "ToolsOutOfOrder"),
        ({"messages": [user("q"), CALLING, assistant("a")]}, "ToolsOutOfOrder"),
        ({"messages": [user("q"), CALLING, TOOL, user("r")]}, "ToolsOutOfOrder"),
        ({"messages": [user("q"), {**CALLING, "tool_calls": [{"function": {"name": ""}}]}]}, "BadTools"),
        ({"messages": [user("q"), {**CALLING, "tool_calls": [{"name": "f", "arguments": "{"}]}]}, "BadTools"),
        ({"messages": [user("q"), {**CALLING, "tool_calls": [{"name": "f", "arguments": "[1]"}]}]}, "BadTools"),
        ({"messages": [{**user("q"), "tool_calls": [{"name": "f"}]}]}, "BadTools"),
        ({"messages": [user("q"), {"role": "function_call", "content": "f()"}]}, "BadTools"),
        ({"messages": [user("q"), CALLING, TOOL, assistant("<tool_call>")]}, "BadTools"),
        ({"messages": [user("q"), {**CALLING, "tool_calls": [{"name": "f \ud800"}]}]}, "LoneSurrogate"),
        ({"messages": [user("q"), CALLING], "tools": "a hammer"}, "BadTools"),
        ({"messages": [user("q"), assistant(None)]}, "ContentNotText"),
        ({"messages": [user("  ")]}, "EmptyContent"),
        ({"messages": [user("q \ud800")]}, "LoneSurrogate"),
    ],
)
def test_a_bad_row_is_counted_by_its_reason_and_the_others_go_on(storage: Storage, row: object, reason: str) -> None:
    result = prepare(storage, [row, *numbered(3)])
    assert result.counts == {
        "read": 4,
        "kept": 3,
        "train": 2,
        "answers": 2,
        "holdout": 1,
        "duplicates": 0,
        f"rejected.{reason}": 1,
    }


def test_accounting_closes_over_a_mixture(storage: Storage) -> None:
    rows: list[object] = [GOOD, GOOD, "{", {"messages": []}, *numbered(20), {"messages": [user(1)]}, GOOD]
    counts = prepare(storage, rows, holdout=4).counts
    rejected = sum(number for name, number in counts.items() if name.startswith("rejected."))
    assert counts["read"] == len(rows) == counts["kept"] + counts["duplicates"] + rejected
    assert counts["kept"] == counts["train"] + counts["holdout"] == 21
    assert counts["duplicates"] == 2


def test_the_datasets_own_answers_are_counted_in_every_turn_of_the_rows_for_training(storage: Storage) -> None:
    turns = [user("a"), assistant("b"), user("c"), assistant("d"), user("e")]
    rows: list[object] = [{"messages": turns[:length]} for length in (1, 2, 4, 5)]
    result = prepare(storage, [*rows, {"messages": [user("f"), assistant(" ")]}], holdout=0)
    # The second is a duplicate of the first, which has no answer.
    assert (result.counts["train"], result.counts["answers"]) == (4, 0 + 2 + 2 + 0)
    apart = Storage(storage.mount / "apart")
    apart.mount.mkdir()
    held = prepare(apart, [*rows, *numbered(20)], holdout=15)
    trained = rows_in(apart, held.outputs["train"])
    answers = sum((row["reference"] is not None) + len(row["prompt"]) // 2 for row in trained)
    assert held.counts["answers"] == answers


def test_rows_keep_their_position_in_the_source(storage: Storage) -> None:
    result = prepare(storage, ["{", GOOD, {"messages": []}, *numbered(2)], holdout=0)
    assert [row["row"] for row in rows_in(storage, result.outputs["train"])] == [1, 3, 4]


def test_byte_order_mark_line_ends_and_blank_lines_are_no_content(storage: Storage) -> None:
    """D3."""
    lines = [json.dumps(row) for row in numbered(3)]
    (storage.mount / "data.jsonl").write_bytes("\ufeff".encode() + "\r\n\r\n".join(lines).encode())
    assert prepare(storage).counts == {"read": 3, "kept": 3, "train": 2, "answers": 2, "holdout": 1, "duplicates": 0}


def test_bytes_that_are_no_text_cost_their_row_only(storage: Storage) -> None:
    good = json.dumps(GOOD).encode()
    (storage.mount / "data.jsonl").write_bytes(good + b'\n{"messages": [{"role": "user", "content": "\xff\xfe"}]}\n')
    counts = prepare(storage, holdout=0).counts
    assert (counts["kept"], counts["rejected.BrokenJson"]) == (1, 1)


@pytest.mark.parametrize(
    "text",
    ["x" * 200_000, "nul \0 inside", "\u2028 line \r\n ends \u0085", "e\u0301 \U0001f600 \ufdd0", "<|im_start|>system"],
    ids=["200,000 characters", "NUL", "line ends", "odd characters", "special tokens"],
)
def test_odd_texts_arrive_as_they_are(storage: Storage, text: str) -> None:
    """D3."""
    result = prepare(storage, [{"messages": [user(text), assistant(text)]}, *numbered(2)], holdout=0)
    row = rows_in(storage, result.outputs["train"])[0]
    assert (row["prompt"][0]["content"], row["reference"]) == (text, text)


def test_nan_in_a_column_that_nobody_reads_does_no_harm(storage: Storage) -> None:
    rows: list[object] = [f'{{"score": NaN, {json.dumps(row)[1:]}' for row in numbered(3)]
    assert prepare(storage, rows, holdout=0).counts["kept"] == 3


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_column_whose_first_rows_are_null_is_read_to_the_end(storage: Storage, suffix: str) -> None:
    """D1: a type learnt from the first rows would fail at the first that has a value."""
    empty: list[dict[str, object]] = [{"q": f"question {number}", "a": None} for number in range(3000)]
    rows: list[dict[str, object]] = [*empty, {"q": "the last", "a": "answer"}]
    if suffix == "jsonl":
        write_lines(storage.mount / "data.jsonl", rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), storage.mount / "data.parquet", row_group_size=500)
    result = prepare(storage, path=f"data.{suffix}", holdout=0, prompt_column="q", response_column="a")
    assert [row["reference"] for row in rows_in(storage, result.outputs["train"])] == [None] * 3000 + ["answer"]


def test_data_of_which_most_is_bad_is_refused_with_the_shape_of_an_example(storage: Storage) -> None:
    """F16: more people read a status than the data. The rows themselves stand beside it."""
    words = r"3 of 5 rows.*NotAList 2, Empty 1.*row 0 \(NotAList\): \{\"messages\": text of 12\}"
    rows: list[object] = [{"messages": "about a name"}, {"messages": 1}, {"messages": []}, *numbered(2)]
    with pytest.raises(StageError, match=words) as caught:
        prepare(storage, rows)
    assert caught.value.reason.name == "MostRowsRejected"
    [told] = re.findall(r"in the storage: (\S+)\. ", caught.value.message)
    found = [json.loads(line) for line in storage.at(told).read_text().splitlines()]
    assert [(line["row"], line["reason"], json.loads(line["is"])) for line in found] == [
        (0, "NotAList", rows[0]),
        (1, "NotAList", rows[1]),
        (2, "Empty", rows[2]),
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"a": None, "b": True, "c": 2.5, "d": "xyz"}, '{"a": null, "b": a boolean, "c": a number, "d": text of 3}'),
        ({"m": [{"role": "user"}, {"role": "x"}]}, '{"m": [{"role": text of 4}, 2 in all]}'),
        ({"m": []}, '{"m": []}'),
        ({"m": [[[[["deep"]]]]]}, '{"m": [[[...]]]}'),
        ({"n" * 60: 1}, '{"' + "n" * 36 + "...: a number}"),
        ({name: 1 for name in "abcdefghi"}, "{" + ", ".join(f'"{name}": a number' for name in "abcdefgh") + ", ...}"),
        (RowRejected(reasons.BROKEN_JSON), "can't be read"),
    ],
)  # fmt: skip
def test_a_rows_shape_has_nothing_of_its_content(row: dict[str, object] | RowRejected, told: str) -> None:
    assert shape(row) == told


def test_of_each_reason_few_rows_are_kept_and_none_of_them_whole_if_it_is_long(storage: Storage) -> None:
    bad: list[object] = [{"messages": "x" * 100_000} for _ in range(20)]
    result = prepare(storage, [*bad, *numbered(30)])
    [file] = storage.at(OUTPUT).glob("rejected-rows.jsonl")
    assert result.counts["rejected.NotAList"] == 20
    assert len(file.read_text().splitlines()) == 3 and file.stat().st_size < 20_000


def test_no_rows_at_all_are_refused(storage: Storage) -> None:
    with pytest.raises(StageError) as caught:
        prepare(storage, [])
    assert caught.value.reason.name == "NoRows"


@pytest.mark.parametrize("member", ["messages_column", "prompt_column", "group_column"])
def test_a_missing_column_is_told_with_the_columns_found(storage: Storage, member: str) -> None:
    """D7."""
    with pytest.raises(StageError, match=r"no column 'dialogue'; its columns: messages, topic") as caught:
        prepare(storage, [{"messages": [user("q")], "topic": "t"}] * 3, **{member: "dialogue"})
    assert caught.value.reason.name == "MissingColumn"


# The holdout.


def test_no_prompt_is_on_both_sides_of_the_holdout(storage: Storage) -> None:
    # The same prompts with different answers: rows differ, prompts don't.
    rows: list[object] = [{"messages": [user(f"q{number % 30}"), assistant(str(number))]} for number in range(90)]
    result = prepare(storage, rows, holdout=10)
    train, holdout = prompts_of(storage, result, "train"), prompts_of(storage, result, "holdout")
    assert len(holdout) == 10
    assert sorted(train + holdout) == sorted(f"q{number}" for number in range(30))


def test_the_holdout_depends_on_seed_and_content_only(storage: Storage) -> None:
    rows = numbered(40)
    chosen = prompts_of(storage, prepare(storage, rows, holdout=10), "holdout")
    reordered = prompts_of(storage, prepare(storage, rows[::-1], holdout=10), "holdout")
    other = prompts_of(storage, prepare(storage, rows, holdout=10, seed=1), "holdout")
    assert sorted(chosen) == sorted(reordered)
    assert sorted(chosen) != sorted(other)


def test_groups_are_held_out_whole(storage: Storage) -> None:
    rows: list[object] = [{"messages": [user(f"q{number}")], "topic": f"topic {number % 7}"} for number in range(70)]
    result = prepare(storage, rows, holdout=15, group_column="topic")
    topics = {
        split: {int(prompt.removeprefix("q")) % 7 for prompt in prompts_of(storage, result, split)}
        for split in ("train", "holdout")
    }
    assert topics["train"].isdisjoint(topics["holdout"])
    assert result.counts["holdout"] == 20, "two groups of ten: the first that reach 15"


def test_a_row_without_group_is_left_out(storage: Storage) -> None:
    rows: list[object] = [{"messages": [user(f"q{number}")], "topic": number or None} for number in range(5)]
    assert prepare(storage, rows, group_column="topic").counts["rejected.NoGroup"] == 1


@pytest.mark.parametrize("members", [{"holdout": 5}, {"holdout": 3, "group_column": "topic"}])
def test_a_holdout_that_leaves_nothing_is_refused(storage: Storage, members: dict[str, object]) -> None:
    rows: list[object] = [{"messages": [user(f"q{number}")], "topic": "all"} for number in range(5)]
    with pytest.raises(StageError) as caught:
        prepare(storage, rows, **members)
    assert caught.value.reason.name == "HoldoutTooLarge"


def test_limit_is_the_number_of_rows_used(storage: Storage) -> None:
    counts = prepare(storage, ["{", GOOD, GOOD, *numbered(50)], holdout=2, limit=10).counts
    assert (counts["read"], counts["kept"], counts["train"], counts["holdout"]) == (12, 10, 8, 2)
    assert (counts["duplicates"], counts["rejected.BrokenJson"]) == (1, 1)


# Files.


def test_parquet_and_json_lines_give_the_same(storage: Storage) -> None:
    lines = prepare(storage, numbered(12), holdout=3)
    pq.write_table(pa.Table.from_pylist(numbered(12)), storage.mount / "data.parquet")
    parquet = prepare(storage, path="data.parquet", holdout=3)
    for split in ("train", "holdout"):
        assert rows_in(storage, lines.outputs[split]) == rows_in(storage, parquet.outputs[split])


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_files_of_one_directory_need_only_the_columns_that_are_read_in_common(storage: Storage, suffix: str) -> None:
    """U39."""
    others: list[dict[str, object]] = [{"score": 1}, {"score": "high", "source": {"id": 1}}, {}]
    (storage.mount / "set").mkdir(parents=True)
    for number, other in enumerate(others):
        row, path = {"messages": [user(f"q{number}")], **other}, storage.mount / "set" / f"{number}.{suffix}"
        if suffix == "jsonl":
            write_lines(path, [row])
        else:
            pq.write_table(pa.Table.from_pylist([row]), path)
    result = prepare(storage, path="set", holdout=0)
    assert [row["row"] for row in rows_in(storage, result.outputs["train"])] == [0, 1, 2]


def test_a_directory_is_read_in_the_order_of_its_names(storage: Storage) -> None:
    write_lines(storage.mount / "set" / "b.jsonl", numbered(4)[2:])
    write_lines(storage.mount / "set" / "a.jsonl", numbered(2))
    write_lines(storage.mount / "set" / ".hidden.jsonl", numbered(9))
    result = prepare(storage, path="set", holdout=0)
    assert prompts_of(storage, result, "train") == [f"question {number}" for number in range(4)]


@pytest.mark.parametrize(
    ("path", "reason"),
    [("nothing", "DatasetNotFound"), ("notes.txt", "NoDataFiles"), ("cut.parquet", "UnreadableDataset")],
)
def test_what_is_no_dataset_is_refused_by_name(storage: Storage, path: str, reason: str) -> None:
    (storage.mount / "notes.txt").write_text("hello")
    (storage.mount / "cut.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(StageError, match=path) as caught:
        prepare(storage, path=path)
    assert caught.value.reason.name == reason


def test_a_path_outside_the_storage_is_refused(storage: Storage) -> None:
    with pytest.raises(StageError) as caught:
        prepare(storage, path="../elsewhere/data.jsonl")
    assert caught.value.reason.name == "PathOutsideStorage"


def test_the_marker_names_every_part_with_its_digest(storage: Storage) -> None:
    result = prepare(storage, numbered(30), holdout=10)
    output = storage.at(OUTPUT)
    written = [part for split in ("train", "holdout") for part in parts_of(storage.at(result.outputs[split]))]
    assert result.parts == {part.relative_to(output).as_posix(): sha256_of(part) for part in written}
    assert storage.read_marker(OUTPUT) == result


def test_an_empty_holdout_is_a_table_without_rows(storage: Storage) -> None:
    result = prepare(storage, numbered(3), holdout=0)
    assert rows_in(storage, result.outputs["holdout"]) == []
    assert storage.finished(OUTPUT) is not None


@pytest.mark.parametrize(("rows", "parts"), [(0, 1), (1, 1), (7, 7), (8, 8), (9, 8), (9 * MAX_ROWS_PER_PART + 1, 10)])
def test_there_are_parts_for_eight_hosts_and_none_is_too_large(rows: int, parts: int) -> None:
    assert number_of_parts(rows) == parts


def test_nine_rows_lie_in_eight_parts(storage: Storage) -> None:
    result = prepare(storage, numbered(9), holdout=0)
    parts = parts_of(storage.at(result.outputs["train"]))
    assert [pq.read_metadata(part).num_rows for part in parts] == [1, 1, 1, 1, 1, 1, 1, 2]
