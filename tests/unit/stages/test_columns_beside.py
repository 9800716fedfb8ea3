"""Columns beside those that are read, without which a question makes no sense: media, choices, history, tools."""

import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillation_api.contract import PrepareProgram, Source, StageResult
from distillation_stages.programs.prepare import run
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import assistant, rows_in, spec_of, user, write_lines

QUESTION = {"prompt_column": "question", "response_column": "answer"}
PLAIN = [{"messages": [user(f"q{number}"), assistant("a")]} for number in range(3)]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def prepare_file(storage: Storage, name: str, **members: object) -> StageResult:
    program = PrepareProgram.model_validate({"source": Source(path=name), "holdout": 0, **members})
    return run(spec_of(program, uuid.uuid4().hex), storage)


def prepare(storage: Storage, rows: list[object], **members: object) -> StageResult:
    write_lines(storage.at("data.jsonl"), rows)
    return prepare_file(storage, "data.jsonl", **members)


def unread(result: StageResult) -> dict[str, int]:
    return {name: number for name, number in result.counts.items() if name.startswith("unread.")}


# Media.

LLAVA = {"image": "coco/1.jpg", "conversations": [{"from": "human", "value": "<image>\nWhat is it?"}]}


@pytest.mark.parametrize(
    "media",
    [
        {"image": "coco/1.jpg"},
        {"images": ["1.jpg"]},
        {"Image": {"bytes": None, "path": "1.jpg"}},
        {"video": "1.mp4"},
        {"audio": {"array": [0.5, 0.25], "sampling_rate": 16000}},
        {"images": [{"url": "https://example.com/1.jpg"}]},
    ],
    ids=str,
)
def test_a_row_with_media_beside_its_text_is_left_out_and_counted(storage: Storage, media: dict[str, object]) -> None:
    row = {"messages": [user("What is shown?"), assistant("A dog.")], **media}
    counts = prepare(storage, [row, *PLAIN]).counts
    assert (counts["read"], counts["kept"], counts["rejected.MediaColumn"]) == (4, 3, 1)


@pytest.mark.parametrize(
    "media",
    [
        *({"image": None}, {"images": []}, {"images": [None]}, {"image": ""}, {"images": "[]"}, {"audio": False}),
        *({"image": {"bytes": None, "path": None}}, {"images": 0}, {"video": {}}, {"image_url": "https://e.org/1"}),
        {"imageability": "high", "photographer": "Ann"},
    ],
    ids=str,
)
def test_columns_of_media_that_hold_none_cost_nothing(storage: Storage, media: dict[str, object]) -> None:
    rows: list[object] = [{**row, **media, "id": "1", "score": 0.5, "language": "en"} for row in PLAIN]
    assert prepare(storage, rows).counts["kept"] == 3


@pytest.mark.parametrize("place", ["<image>", "<image 1>", "<image_2>", "<video>"])
def test_a_text_with_the_place_of_a_medium_beside_its_path_is_left_out(storage: Storage, place: str) -> None:
    row = {"messages": [user(f"{place} What is shown?"), assistant("A dog.")], "image_path": "1.jpg"}
    assert prepare(storage, [row, *PLAIN]).counts["rejected.MediaColumn"] == 1


def test_a_question_about_a_tag_is_text(storage: Storage) -> None:
    rows: list[object] = [{"messages": [user("What does <image> do in SVG?"), assistant("It shows one.")], "id": "1"}]
    assert prepare(storage, rows).counts["kept"] == 1


def test_a_column_that_the_spec_names_is_read_as_text(storage: Storage) -> None:
    rows: list[object] = [{"image": "a red square", "answer": "red"}]
    assert prepare(storage, rows, prompt_column="image", response_column="answer").counts["kept"] == 1


def test_a_dataset_of_images_fails_with_the_column(storage: Storage) -> None:
    with pytest.raises(StageError, match=r"MediaColumn 2 \(column 'image'\)"):
        prepare(storage, [LLAVA, LLAVA], messages_column="conversations")


PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
PICTURES = {
    "as the Hub has them": pa.array([{"bytes": b"x", "path": None}, None, None], PICTURE),
    "lists": pa.array([[{"bytes": b"x", "path": None}], [], None], pa.list_(PICTURE)),
    "bytes alone": pa.array([b"x", None, None]),
    "lists of bytes": pa.array([[b"x"], [], None]),
    "objects of bytes": pa.array([{"bytes": b"x"}, None, None]),
    "paths": pa.array(["1.jpg", "", None]),
    "lists of paths": pa.array([["1.jpg"], [], None]),
}


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("pictures", PICTURES)
def test_media_in_tables_are_seen(storage: Storage, suffix: str, pictures: str) -> None:
    column = PICTURES[pictures]
    table = pa.table({"messages": [row["messages"] for row in PLAIN] * 2, "images": pa.concat_arrays([column] * 2)})
    if suffix == "parquet":
        pq.write_table(table, storage.at("data.parquet"))
    else:
        with pa.ipc.new_stream(storage.at("data.arrow"), table.schema) as writer:
            writer.write_table(table)
    assert prepare_file(storage, f"data.{suffix}").counts["rejected.MediaColumn"] == 2


def test_of_pictures_in_a_table_the_paths_alone_are_loaded(storage: Storage) -> None:
    """the bytes are broken, which only reading them would tell."""
    marks = b"picture" * 10_000
    pictures = pa.array([{"bytes": marks, "path": "1"}, None, None], PICTURE)
    table = pa.table({"messages": [row["messages"] for row in PLAIN], "image": pictures})
    path = storage.at("data.parquet")
    pq.write_table(table, path, compression="none", use_dictionary=False)
    metadata = pq.read_metadata(path).row_group(0)
    (chunk,) = (c for c in map(metadata.column, range(metadata.num_columns)) if c.path_in_schema == "image.bytes")
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset : chunk.data_page_offset + 16] = b"\xff" * 16
    path.write_bytes(data)
    counts = prepare_file(storage, "data.parquet").counts
    assert (counts["kept"], counts["rejected.MediaColumn"]) == (2, 1)


# Parts of the question that aren't texts.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("choices", ["4", "6", "7"]),
        ("choices", {"text": ["4", "6"], "label": ["A", "B"]}),
        ("options", {"A": "4", "B": "6"}),
        ("history", [["Capital of France?", "Paris"]]),
        ("context", {"title": ["Rivers"], "sentences": [["The Rhine flows."]]}),
        ("input", [1, 2, 3]),
    ],
)
def test_lists_and_objects_that_nobody_reads_are_warned_of_and_counted(
    storage: Storage, capsys: pytest.CaptureFixture[str], name: str, value: object
) -> None:
    result = prepare(storage, [{"question": "Which is prime?", name: value, "answer": 2}], **QUESTION)
    assert unread(result) == {f"unread.{name}": 1}
    told = capsys.readouterr().err
    assert f"column {name!r} of dataset data.jsonl has lists or objects in 1 rows and isn't read" in told
    assert f"{{{{ {name} | tojson }}}}" in told


def test_choices_as_text_come_with_the_template_that_reads_them(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[object] = [{"question": "Which is prime?", "options": "A) 4 B) 7", "answer": "B"}]
    assert unread(prepare(storage, rows, **QUESTION)) == {"unread.options": 1}
    assert "promptTemplate" in capsys.readouterr().err


def test_columns_of_these_names_that_are_empty_or_read_are_passed_over(storage: Storage) -> None:
    empty: dict[str, object] = {
        "history": [],
        "choices": None,
        "options": {},
        "context": {"sentences": []},
        "functions": [],
    }
    assert not unread(prepare(storage, [{"question": "q", "answer": "a", **empty}], **QUESTION))
    template = "{{ question }}\n{{ choices | join(', ') }}"
    row = {"question": "q", "choices": ["4", "6"]}
    assert not unread(prepare(storage, [row], prompt_template=template))


def test_lists_in_tables_are_seen_too(storage: Storage) -> None:
    table = pa.table({"question": ["q", "r"], "choices": [["4"], []], "answer": [2, 1], "score": [1.5, 2.5]})
    pq.write_table(table, storage.at("data.parquet"))
    assert unread(prepare_file(storage, "data.parquet", **QUESTION)) == {"unread.choices": 1}


# Tools by their older name.

TOOL = {"name": "weather", "description": "", "parameters": {"type": "object", "properties": {}}}
CALLING = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}}


def test_functions_beside_messages_are_their_tools(storage: Storage) -> None:
    result = prepare(storage, [{"messages": [user("q"), CALLING], "functions": [TOOL]}])
    assert '"description"' in rows_in(storage, result.outputs["train"])[0]["toolUse"]
    assert (result.counts["withTools"], unread(result)) == (1, {})


def test_tools_go_before_functions(storage: Storage) -> None:
    other = {**TOOL, "name": "clock"}
    result = prepare(storage, [{"messages": [user("q"), assistant("a")], "functions": [other], "tools": [TOOL]}])
    tool_use = rows_in(storage, result.outputs["train"])[0]["toolUse"]
    assert "weather" in tool_use and "clock" not in tool_use


def test_functions_that_are_no_tools_are_passed_over_and_counted(storage: Storage) -> None:
    result = prepare(storage, [{"messages": [user("q"), CALLING], "functions": ["parse", "main"]}])
    assert (result.counts["kept"], unread(result)) == (1, {"unread.functions": 1})


def test_functions_beside_a_prompt_are_counted(storage: Storage) -> None:
    result = prepare(storage, [{"question": "q", "answer": "a", "functions": [TOOL]}], **QUESTION)
    assert unread(result) == {"unread.functions": 1}
