"""The work queue: each key once, one worker per key, back-off after failures."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from distillation_operator.controller.queue import (
    LONGEST_RETRY_SECONDS,
    MOMENT,
    OUTAGE_RETRY_SECONDS,
    URGENT_IN_A_ROW,
    Key,
    WorkQueue,
)
from support import virtual_time

A, B, C = ("ns", "a"), ("ns", "b"), ("ns", "c")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, timeout=10))


def test_a_key_waits_at_most_once() -> None:
    async def test() -> None:
        queue = WorkQueue()
        for key in (A, A, B, A):
            queue.add(key)
        assert [await queue.take(), await queue.take()] == [A, B]
        assert len(queue) == 0

    run(test())


def test_a_key_asked_for_during_its_work_comes_again_only_after_it() -> None:
    async def test() -> None:
        queue = WorkQueue()
        queue.add(A)
        await queue.take()
        queue.add(A)
        assert len(queue) == 0, "two workers must never have the same key"
        queue.done(A)
        assert await queue.take() == A

    run(test())


def test_urgent_keys_come_before_those_that_wait_already() -> None:
    async def test() -> None:
        queue = WorkQueue()
        queue.add(A)
        queue.add(B)
        queue.add(C, urgent=True)
        queue.add(B, urgent=True)
        assert [await queue.take() for _ in range(3)] == [C, B, A]
        assert len(queue) == 0

    run(test())


def test_a_key_stays_urgent_whoever_asks_for_it_besides() -> None:
    async def test() -> None:
        queue = WorkQueue()
        queue.add(A)
        await queue.take()
        queue.add(A, urgent=True)
        queue.add(A)
        queue.add(B)
        queue.done(A)
        assert await queue.take() == A

    run(test())


def test_urgent_keys_without_an_end_keep_no_other_from_its_turn() -> None:
    async def test() -> None:
        queue = WorkQueue()
        queue.add(A)
        taken: list[Key] = []
        for _ in range(2 * URGENT_IN_A_ROW):
            queue.add(B, urgent=True)
            queue.add(C, urgent=True)
            taken.append(await queue.take())
            queue.done(taken[-1])
        assert taken.index(A) == URGENT_IN_A_ROW

    run(test())


@given(st.lists(st.tuples(st.sampled_from(["add", "urgent", "take", "done"]), st.sampled_from([A, B, C]))))
def test_whatever_is_asked_for_comes_once_and_each_key_has_one_worker(steps: list[tuple[str, Key]]) -> None:
    async def test() -> None:
        queue = WorkQueue()
        wanted: set[Key] = set()
        working: set[Key] = set()
        again: set[Key] = set()
        for step, key in steps:
            if step == "take" and wanted:
                taken = await queue.take()
                assert taken in wanted and taken not in working
                wanted.remove(taken)
                working.add(taken)
            elif step == "done" and key in working:
                queue.done(key)
                working.remove(key)
                wanted |= again & {key}
                again.discard(key)
            elif step in ("add", "urgent"):
                queue.add(key, urgent=step == "urgent")
                (again if key in working else wanted).add(key)
            assert len(queue) == len(wanted)
        for key in working:
            queue.done(key)
        assert {await queue.take() for _ in range(len(queue))} == wanted | again

    run(test())


def test_a_delayed_key_comes_in_its_time_and_the_earlier_time_wins() -> None:
    async def test() -> None:
        queue = WorkQueue()
        queue.add_after(A, 3600)
        queue.add_after(B, 0.02)
        queue.add_after(A, 0.01)
        assert [await queue.take(), await queue.take()] == [A, B]

    run(test())


def test_after_success_only_the_new_time_stands() -> None:
    async def test() -> None:
        queue = WorkQueue()
        queue.add_after(A, 0.01)
        queue.succeeded(A)
        queue.add_after(A, 3600)
        queue.add_after(B, 0.05)
        assert await queue.take() == B

    run(test())


def test_a_taker_that_waits_is_woken_by_an_earlier_time() -> None:
    async def test() -> None:
        queue = WorkQueue()
        queue.add_after(A, 3600)
        taker = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        queue.add(B)
        assert await taker == B

    run(test())


def test_failures_back_off_and_success_forgets_them() -> None:
    async def test() -> None:
        queue = WorkQueue()
        waits = [queue.add_after_failure(A) for _ in range(12)]
        assert waits[0] < waits[1] < waits[2]
        assert waits[-1] == LONGEST_RETRY_SECONDS
        assert queue.add_after_failure(A, OUTAGE_RETRY_SECONDS) == OUTAGE_RETRY_SECONDS
        assert queue.add_after_failure(B) == waits[0]
        queue.succeeded(A)
        assert queue.add_after_failure(A) == waits[0]

    run(test())


def test_what_is_only_to_be_shown_is_gathered() -> None:
    """And is worked on at once where something urgent comes, and once more where it comes meanwhile."""

    async def scenario() -> list[float]:
        queue, times = WorkQueue(), list[float]()
        begun = virtual_time.now()

        async def take() -> None:
            assert await queue.take() == A
            times.append(round(virtual_time.now() - begun, 3))

        for _ in range(5):
            queue.add_soon(A)
            await asyncio.sleep(0.05)
        await take()
        queue.add_soon(A)
        queue.succeeded(A)
        queue.done(A)
        await take()
        queue.succeeded(A)
        queue.done(A)
        queue.add_soon(A)
        queue.add(A, urgent=True)
        queue.add_soon(A)
        await take()
        queue.succeeded(A)
        queue.done(A)
        await asyncio.sleep(5)
        return [*times, len(queue)]

    assert virtual_time.run(scenario()) == [MOMENT, MOMENT, MOMENT, 0]
