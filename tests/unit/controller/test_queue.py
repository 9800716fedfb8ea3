"""The work queue: each key once, one worker per key, back-off after failures."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from distillation_operator.controller.queue import LONGEST_RETRY_SECONDS, OUTAGE_RETRY_SECONDS, WorkQueue

A, B = ("ns", "a"), ("ns", "b")


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
