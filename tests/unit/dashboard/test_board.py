"""What is known of all jobs, and what changed since."""

import asyncio
import json

import pytest

from distillation_operator.dashboard.board import Board, Health
from distillation_operator.dashboard.stream import encode, mark, revision_of

A, B = ("ml", "a"), ("ml", "b")


def test_changes_are_told_once_and_what_is_the_same_is_none() -> None:
    board = Board()
    board.replace("s", {A: {"n": 1}, B: {"n": 1}})
    seen = board.revision
    board.put("s", A, {"n": 1})
    assert board.revision == seen
    board.put("s", A, {"n": 2})
    board.drop(B)
    changes = board.changes(seen)
    assert (changes.jobs, changes.gone, changes.whole) == ({A: {"n": 2}}, [B], False)
    assert board.changes(board.revision).jobs == {}


def test_a_list_takes_the_place_of_what_its_source_had_and_of_nothing_else() -> None:
    board = Board()
    board.replace("one", {A: {}})
    board.replace("two", {B: {}})
    board.replace("one", {})
    assert [key for key, _, _ in board.jobs()] == [B]


@pytest.mark.parametrize("since", [None, 99])
def test_who_has_seen_nothing_known_gets_all(since: int | None) -> None:
    board = Board()
    board.put("s", A, {})
    changes = board.changes(since)
    assert changes.whole and list(changes.jobs) == [A]


def test_who_was_away_for_too_long_gets_all() -> None:
    board = Board()
    board.put("s", A, {})
    seen = board.revision
    for number in range(10_001):
        board.put("s", ("ml", f"{number}"), {})
        board.drop(("ml", f"{number}"))
    assert board.changes(seen).whole
    assert not board.changes(board.revision - 2).whole


def test_a_job_that_came_back_is_not_gone() -> None:
    board = Board()
    board.put("s", A, {"n": 1})
    seen = board.revision
    board.drop(A)
    board.put("s", A, {"n": 2})
    assert board.changes(seen).gone == []


def test_one_source_with_a_problem_makes_the_whole_stale_and_keeps_its_time() -> None:
    board = Board()
    board.tell("one", Health(loaded=True))
    board.tell("two", Health())
    assert not board.health.loaded
    board.tell("two", Health(loaded=True, problem="no answer"))
    first = board.health
    assert (first.loaded, first.problem) == (True, "no answer") and first.since is not None
    board.tell("two", Health(loaded=True, problem="still none"))
    assert (board.health.problem, board.health.since) == ("still none", first.since)
    board.tell("two", Health(loaded=True))
    assert board.health == Health(loaded=True)


def test_a_wait_ends_with_a_change() -> None:
    async def wait() -> None:
        board = Board()
        waiting = asyncio.create_task(board.wait(board.revision, 60))
        await asyncio.sleep(0)
        board.put("s", A, {})
        await asyncio.wait_for(waiting, 5)

    asyncio.run(wait())


def test_an_event_is_three_lines_whatever_it_holds() -> None:
    told = {"html": "a\nb\r\n\ndata: x\u2028\ud800"}
    lines = encode("change", told, mark("run", 7)).decode().split("\n")
    assert [lines[0], lines[2], *lines[3:]] == ["event: change", "id: run.7", "", ""]
    assert json.loads(lines[1].removeprefix("data: ")) == told


@pytest.mark.parametrize(
    ("told", "revision"),
    [
        ("run.7", 7),
        ("other.7", None),
        ("run.", None),
        ("run.x", None),
        ("run.-1", None),
        ("", None),
        ("run." + "9" * 5000, None),
    ],
)
def test_a_mark_counts_in_its_own_run(told: str, revision: int | None) -> None:
    assert revision_of("run", told) == revision
