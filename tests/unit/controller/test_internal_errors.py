"""A decision that fails by an error of ours: the user reads it in the status, and the job can still be stopped."""

import asyncio
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from distillation_operator.controller import process, reconcile
from distillation_operator.controller.error_ids import id_of
from distillation_operator.controller.reconcile import DecisionFailed
from distillation_operator.controller.settings import ControllerSettings
from distillation_operator.pipeline.status.times import format_time
from support.api_server import Server
from support.controller import Controller
from support.fleet import stop
from support.scenario import small_spec
from support.virtual_time import now, run

SECRET = "hf_SECRETPART"
STEPS = ("observe", "decide", "child_manifest")
"""What a decision is made of."""


def broken(*args: Any, **kwargs: Any) -> Any:
    raise OverflowError(f"{SECRET} is too large")


def failing(monkeypatch: pytest.MonkeyPatch, step: str = "decide") -> Callable[[], None]:
    """That step fails from now on, until the answer is called."""
    whole = getattr(reconcile, step)
    monkeypatch.setattr(reconcile, step, broken)
    return lambda: monkeypatch.setattr(reconcile, step, whole)


@pytest.mark.parametrize("step", STEPS)
def test_an_error_of_ours_is_told_with_the_id_that_the_log_has(
    step: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    controller = Controller()
    failing(monkeypatch, step)
    with caplog.at_level(logging.ERROR), pytest.raises(DecisionFailed):
        asyncio.run(controller.step())
    stalled, reconciling = controller.condition("Stalled"), controller.condition("Reconciling")
    assert (stalled["status"], stalled["reason"]) == ("True", "InternalError")
    assert (reconciling["status"], reconciling["reason"]) == ("False", "InternalError")
    found = re.search(r"OverflowError, id ([0-9a-f]{8})", stalled["message"])
    assert found is not None
    (record,) = [record for record in caplog.records if found[1] in record.getMessage()]
    assert record.exc_info is not None and SECRET in str(record.exc_info[1])
    assert SECRET not in str(controller.status)


def test_a_status_that_is_refused_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that int64 can't hold, say: the job would never be Complete, and nothing would tell why."""
    controller = Controller()
    controller.server.unreadable_status = lambda status: status["phase"] == "Pending" and bool(status.get("stages"))
    with pytest.raises(DecisionFailed):
        asyncio.run(controller.step())
    assert controller.condition("Stalled")["reason"] == "InternalError"
    assert "somebody" not in str(controller.status)


def test_it_goes_when_a_decision_succeeds_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> tuple[dict[str, Any], dict[str, Any]]:
        controller = Controller()
        mend = failing(monkeypatch)
        with pytest.raises(DecisionFailed):
            await controller.step()
        told = controller.condition("Stalled")
        mend()
        await controller.step()
        assert controller.condition("Reconciling")["status"] == "True"
        return told, controller.condition("Stalled")

    before, after = asyncio.run(scenario())
    assert (before["status"], before["reason"]) == ("True", "InternalError")
    assert (after["status"], after["reason"]) == ("False", "NotFailed")


def test_the_same_fault_again_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> list[tuple[str, str]]:
        controller = Controller()
        failing(monkeypatch)
        for _ in range(2):
            controller.server.asked.clear()
            with pytest.raises(DecisionFailed):
                await controller.step()
        return controller.server.asked

    assert [verb for verb, _ in asyncio.run(scenario()) if verb == "update"] == []


async def running(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The first stages run; no decision is possible any more."""
    await controller.step()
    assert len(controller.server.children(controller.key)) == 3
    return failing(monkeypatch)


def test_a_job_that_nothing_can_be_decided_on_can_be_suspended_and_goes_on_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> Controller:
        controller = Controller()
        mend = await running(controller, monkeypatch)
        controller.reconciler.request_fresh_lists(controller.key)
        with pytest.raises(DecisionFailed):
            await controller.step()
        assert controller.server.deleted == [], "what runs goes on"
        controller.change(suspend=True)
        with pytest.raises(DecisionFailed):
            await controller.step()
        assert len(controller.server.deleted) == 3
        assert controller.status["phase"] == "Suspended"
        assert controller.condition("Suspended")["reason"] == "SuspendedByUser"
        assert {s["state"] for s in controller.status["stages"]} == {"Suspended", "Waiting"}
        mend()
        controller.change(suspend=False)
        controller.server.jobs[controller.key]["metadata"]["resourceVersion"] = "2000"
        controller.reconciler.request_fresh_lists(controller.key)
        await controller.step()
        return controller

    controller = asyncio.run(scenario())
    assert controller.condition("Suspended")["status"] == "False"
    names = {child["metadata"]["name"] for child in controller.server.children(controller.key)}
    assert names == {"job-fetch-teacher-1", "job-fetch-student-1", "job-prepare-dataset-1"}


def test_a_budget_still_stops_the_pods_of_a_job_that_nothing_can_be_decided_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> Controller:
        controller = Controller(budget={"maxChipHours": 2})
        await running(controller, monkeypatch)
        child = controller.server.children(controller.key)[0]
        limits = {"limits": {"google.com/tpu": "4"}}
        started = format_time(datetime.now(UTC) - timedelta(minutes=20))
        pod = controller.server.add_pod(child, startTime=started)
        pod["spec"] = {"nodeName": "n", "containers": [{"name": "stage", "resources": limits}]}
        controller.reconciler.request_fresh_lists(controller.key)
        with pytest.raises(DecisionFailed):
            await controller.step()
        assert controller.server.deleted == [], "4 chips for 20 minutes are less than 2 chip-hours"
        pod["status"]["startTime"] = format_time(datetime.now(UTC) - timedelta(hours=9))
        status = controller.server.jobs[controller.key]["status"]
        status["accountedTime"] = format_time(datetime.now(UTC) - timedelta(minutes=20))
        controller.reconciler.request_fresh_lists(controller.key)
        with pytest.raises(DecisionFailed):
            await controller.step()
        return controller

    controller = asyncio.run(scenario())
    assert len(controller.server.deleted) == 3
    assert controller.condition("Suspended")["reason"] == "BudgetReached"
    assert controller.status["chipHours"] == "2.7"


def test_it_is_tried_again_ever_later_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> tuple[int, list[float], float | None]:
        server, operator = Server(), process._Operator(ControllerSettings())
        operator._assemble(server)
        key = server.add_job(small_spec())
        failing(monkeypatch)
        await operator._job_changed({"type": "ADDED", "object": server.jobs[key]})
        acting = asyncio.create_task(operator._act())
        tries = list[float]()
        while now() < 600:
            await asyncio.sleep(0.25)
            tries.append(errors(operator) or 0)
        writes = [verb for verb, _ in server.asked if verb == "update"]
        await stop(acting)
        return len(writes), tries, errors(operator)

    def errors(operator: process._Operator) -> float | None:
        value: float | None = operator._metrics.registry.get_sample_value(
            "distillation_reconcile_errors_total", {"reason": "InternalError"}
        )
        return value

    writes, tries, total = run(scenario())
    assert writes == 1, "the same fault is told once"
    assert total is not None and 10 < total < 20
    assert tries[-1] - tries[-250] in (1, 2), "at least once a minute"


def test_nothing_is_done_for_a_job_that_is_being_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it owns goes with it: there is no finalizer to wait for."""

    async def scenario() -> list[tuple[str, str]]:
        controller = Controller()
        await running(controller, monkeypatch)
        metadata = controller.server.jobs[controller.key]["metadata"]
        metadata |= {"deletionTimestamp": "2026-11-25T12:00:00Z", "resourceVersion": "1000"}
        controller.server.asked.clear()
        with pytest.raises(DecisionFailed):
            await controller.step()
        return controller.server.asked

    assert asyncio.run(scenario()) == []


def test_one_fault_has_one_id_whatever_the_values() -> None:
    def fail(value: str, depth: int) -> None:
        if depth:
            return fail(value, depth - 1)
        raise ValueError(value)

    def mark(value: str, depth: int) -> str:
        with pytest.raises(ValueError, match=value) as caught:
            fail(value, depth)
        return id_of(caught.value)

    def other() -> str:
        with pytest.raises(ZeroDivisionError) as caught:
            1 / 0  # noqa: B018
        return id_of(caught.value)

    assert mark("a", 2) == mark("b", 9) != other()
