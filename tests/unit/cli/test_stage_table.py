"""The table of ``watch`` on terminals of several sizes."""

import io
from typing import Any

import pytest
from rich.console import Console

from distillation_operator.commands import watch

LONG = "0/3 nodes are available: 3 Insufficient google.com/tpu. No preemption victims found for incoming pod. " * 3
STAGES: list[dict[str, Any]] = [
    {"name": "fetch-teacher", "state": "Complete", "metrics": {"seconds": "12.5"}},
    {"name": "fetch-student", "state": "Complete", "reused": True},
    {"name": "prepare-dataset", "state": "Complete", "metrics": {"rows": "20000"}},
    {
        "name": "generate",
        "state": "Running",
        "attempt": 1,
        "progress": {"done": 43, "total": 100, "unit": "rows", "rate": "2.5"},
    },
    {"name": "convert-student", "state": "Pending", "reason": "Unschedulable", "message": LONG},
    {"name": "train-teacher-data", "state": "Waiting", "message": "Waits for generate, convert-student."},
    {"name": "export-teacher-data", "state": "Waiting", "message": "Waits for train-teacher-data."},
    {"name": "train-original-data", "state": "Waiting", "message": "Waits for train-teacher-data."},
    {"name": "export", "state": "Waiting", "message": "Waits for train-original-data."},
    {"name": "evaluate", "state": "Waiting", "message": "Waits for export."},
]


def screen(width: int, height: int, stages: list[dict[str, Any]], **status: Any) -> list[str]:
    """The lines of a terminal of that size that shows these stages."""
    output = io.StringIO()
    console = Console(file=output, width=width, height=height, force_terminal=True, color_system=None)
    job = {"metadata": {"namespace": "ml", "name": "one"}, "status": {"phase": "Running", "stages": stages, **status}}
    console.print(watch.live_table(job))
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_ten_stages_fit_80_columns_and_24_rows() -> None:
    lines = screen(80, 24, STAGES)
    assert len(lines) <= 24
    rows = {line.split()[0]: line for line in lines[1:11]}
    assert list(rows) == [stage["name"] for stage in STAGES], "a line each, in order"
    assert [name for name, line in rows.items() if "━" in line] == ["generate"], "who runs has a bar"
    assert "43%, 43/100 rows, 2.5 rows/s, attempt 1" in rows["generate"]
    assert rows["fetch-teacher"].split() == ["fetch-teacher", "Complete"]
    assert rows["fetch-student"].split() == ["fetch-student", "Complete", "reused"]
    assert rows["convert-student"].split() == ["convert-student", "Pending", "Unschedulable"]
    assert rows["evaluate"].split() == ["evaluate", "Waiting"]
    assert " ".join(lines[11:]) == f"convert-student: {LONG}".rstrip(), "the message stands whole below"


@pytest.mark.parametrize("width", [60, 80, 99, 100, 140])
def test_names_are_whole_and_no_line_is_too_long(width: int) -> None:
    lines = screen(width, 50, [{**stage, "name": f"preview-{stage['name']}"} for stage in STAGES])
    assert max(map(len, lines)) <= width
    for stage in STAGES:
        assert any(line.startswith(f"preview-{stage['name']} ") for line in lines)


def test_a_message_of_several_stages_stands_once() -> None:
    stages = [{"name": name, "state": "Pending", "reason": "Unschedulable", "message": "No node."} for name in "abc"]
    assert screen(80, 24, stages)[-1] == "a, b, c: No node."


def test_where_rows_are_few_those_share_one_that_are_done_or_wait() -> None:
    short = [{**stage, "message": None} for stage in STAGES]
    ten = screen(80, 9, short)
    assert [line.split()[:3] for line in ten[1:3]] == [
        ["3", "stages", "Complete"],
        ["generate", "Running", "━━━"],
    ]
    six = screen(80, 5, short)
    assert [line.split()[0] for line in six[1:]] == ["3", "generate", "convert-student", "5"]
    assert len(six) == 5


def test_a_wide_terminal_shows_all_words_in_the_row() -> None:
    lines = screen(140, 40, STAGES[:4])
    assert all("━" in line for line in lines[1:])
    assert "seconds 12.5" in lines[1]


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("field", ["message", "reason"])
def test_what_a_status_says_can_not_move_the_cursor(width: int, field: str) -> None:
    stage = {"name": "generate", "state": "Failed", field: "end\x1b[2J\x1b]0;title\x07\r\nof\u202e it"}
    for line in screen(width, 24, [stage]):
        assert line.isprintable()


def test_a_job_without_stages_is_a_heading() -> None:
    assert screen(80, 24, []) == ["ml/one  Running"]


@pytest.mark.parametrize("width", [1, 10, 30])
def test_a_tiny_terminal_is_no_error(width: int) -> None:
    assert screen(width, 3, STAGES)
