"""Columns that rows of JSON leave out where they have nothing to say."""

import uuid
from pathlib import Path

import pytest

from distillation_api.contract import PrepareProgram, Source, StageResult
from distillation_stages.programs.prepare import run
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import assistant, rows_in, spec_of, system, user, write_lines

TOOL = {"name": "weather"}
OPTIONAL: list[tuple[dict[str, object], dict[str, object], dict[str, object]]] = [
    ({"system_column": "note"}, {"messages": [user("q")]}, {"note": "Be kind."}),
    ({"tools_column": "note"}, {"messages": [user("q"), assistant("a")]}, {"note": [TOOL]}),
    ({"prompt_column": "p", "response_column": "note"}, {"p": "q"}, {"note": "a"}),
    ({"prompt_template": "{{ p }}{% if note is defined %}{{ note }}{% endif %}"}, {"p": "q"}, {"note": "b"}),
]
each_optional = pytest.mark.parametrize(
    ("members", "row", "column"), OPTIONAL, ids=["system", "tools", "answer", "part"]
)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def prepare(storage: Storage, rows: list[object], **members: object) -> StageResult:
    write_lines(storage.at("data.jsonl"), rows)
    program = PrepareProgram.model_validate({"source": Source(path="data.jsonl"), "holdout": 0, **members})
    return run(spec_of(program, uuid.uuid4().hex), storage)


def refusal(storage: Storage, rows: list[object], **members: object) -> StageError:
    with pytest.raises(StageError) as caught:
        prepare(storage, rows, **members)
    return caught.value


@each_optional
@pytest.mark.parametrize("before", [1, 5, 150])
def test_rows_that_leave_out_an_optional_column_are_read_as_with_null(
    storage: Storage, members: dict[str, object], row: dict[str, object], column: dict[str, object], before: int
) -> None:
    counts = prepare(storage, [*[row] * before, {**row, **column}], **members).counts
    assert (counts["read"], counts["kept"] + counts["duplicates"]) == (before + 1, before + 1)


def test_what_the_one_row_has_is_read(storage: Storage) -> None:
    rows: list[object] = [{"messages": [user("q")]}, {"messages": [user("q")], "note": "Be kind."}]
    result = prepare(storage, rows, system_column="note")
    prompts = [row["prompt"] for row in rows_in(storage, result.outputs["train"])]
    assert sorted(prompts, key=len) == [[user("q")], [system("Be kind."), user("q")]]


@each_optional
def test_a_column_that_no_row_has_is_missing(
    storage: Storage, members: dict[str, object], row: dict[str, object], column: dict[str, object]
) -> None:
    error = refusal(storage, [row] * 150, **members)
    assert error.reason.name == "MissingColumn"
    assert "no column 'note'" in error.message


def test_a_column_behind_the_limit_is_not_missing(storage: Storage) -> None:
    rows: list[object] = [{"messages": [user(f"q{number}")]} for number in range(200)]
    last = {"messages": [user("q")], "note": "Be kind."}
    assert prepare(storage, [*rows, last], system_column="note", limit=3).counts["kept"] == 3
    assert refusal(storage, rows, system_column="note", limit=3).reason.name == "MissingColumn"


def test_a_group_column_that_first_rows_leave_out_costs_these_alone(storage: Storage) -> None:
    rows: list[object] = [{"messages": [user(f"q{number}")], "topic": "t"} for number in range(150)]
    bare: list[object] = [{"messages": [user(f"r{number}")]} for number in range(120)]
    assert prepare(storage, [*bare, *rows], group_column="topic").counts["rejected.NoColumn"] == 120


def test_rows_without_the_question_are_rejected(storage: Storage) -> None:
    rows: list[object] = [{"p": "q", "a": "x"}, {"p": "r", "a": "x"}, {"a": "x"}]
    assert prepare(storage, rows, prompt_column="p", response_column="a").counts["rejected.NoColumn"] == 1
