"""What a decision costs grows with what there is in a namespace, whoever has made it, and no faster.

Counted are the interpreter's steps, not seconds: the same on every machine.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from support.controller import Controller
from support.virtual_time import run

Flood = Callable[[Controller, int], None]


def foreign(number: int, owners: list[dict[str, Any]] | None = None, kind: str = "Job") -> dict[str, Any]:
    """An object with our labels, each of a stage of its own."""
    said = {
        "distillation.dev/job": "job",
        "distillation.dev/child": f"job-x{number}-0",
        "distillation.dev/stage": f"x{number}",
        "distillation.dev/attempt": "0",
    }
    name = f"job-x{number}-0" if kind != "Pod" else f"pod-{number}"
    metadata = {"name": name, "namespace": "ml", "labels": said, "ownerReferences": owners or []}
    return {"metadata": metadata, "spec": {}, "status": {}}


def strange_children(controller: Controller, number: int) -> None:
    for index in range(number):
        controller.server.add("Job", foreign(index))


def strange_pods(controller: Controller, number: int) -> None:
    for index in range(number):
        controller.server.add("Pod", foreign(index, kind="Pod"))


def children_that_name_us_as_their_owner(controller: Controller, number: int) -> None:
    uid = controller.server.jobs[controller.key]["metadata"]["uid"]
    for index in range(number):
        controller.server.add("Job", foreign(index, [{"uid": uid, "controller": True}]))


def pods_of_one_child(controller: Controller, number: int) -> None:
    child = controller.server.children(controller.key)[0]
    for index in range(number):
        controller.server.add_pod(child, index)


def pods_of_as_many_children(controller: Controller, number: int) -> None:
    children_that_name_us_as_their_owner(controller, number)
    for child in controller.server.children(controller.key):
        controller.server.add_pod(child)


def long_logs(controller: Controller, number: int) -> None:
    child = controller.server.children(controller.key)[0]
    pod = controller.server.add_pod(child)
    line = json.dumps({"type": "progress", "stage": "s", "done": -1, "total": "x", "unit": "rows"})
    controller.server.logs[pod["metadata"]["name"]] = f"{line}\n" * number


FLOODS: tuple[Flood, ...] = (
    strange_children, strange_pods, children_that_name_us_as_their_owner, pods_of_one_child, pods_of_as_many_children,
    long_logs,
)  # fmt: skip


def work(flood: Flood, number: int, fails: bool) -> int:
    """Steps of the interpreter (calls and jumps) that reconciles need after a flood: no machine's speed is in it."""
    counted = 0

    def count(*args: Any) -> None:
        nonlocal counted
        counted += 1

    async def scenario() -> None:
        controller = Controller()
        await controller.step()
        flood(controller, number)
        if fails:
            verdict = {"type": "failure", "stage": "s", "reason": "Odd", "message": "m", "permanent": True}
            child = controller.server.children(controller.key)[0]
            ended = {"exitCode": 65, "message": json.dumps(verdict)}
            controller.server.add_pod(
                child, 9, phase="Failed", containerStatuses=[{"name": "stage", "state": {"terminated": ended}}]
            )
            child["status"] = {"conditions": [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}]}
        monitoring.set_events(monitoring.PROFILER_ID, events.PY_START | events.JUMP | events.BRANCH)
        try:
            for _ in range(2):
                controller.reconciler.request_fresh_lists(controller.key)
                await controller.step()
                await asyncio.sleep(5)
        finally:
            monitoring.set_events(monitoring.PROFILER_ID, events.NO_EVENTS)

    monitoring, events = sys.monitoring, sys.monitoring.events
    monitoring.use_tool_id(monitoring.PROFILER_ID, "work")
    for event in (events.PY_START, events.JUMP, events.BRANCH):
        monitoring.register_callback(monitoring.PROFILER_ID, event, count)
    try:
        run(scenario())
    finally:
        monitoring.free_tool_id(monitoring.PROFILER_ID)
    return counted


@pytest.mark.parametrize(
    ("flood", "fails"),
    [*((flood, False) for flood in FLOODS), (children_that_name_us_as_their_owner, True)],
    ids=lambda value: getattr(value, "__name__", "fails" if value else "goes on"),
)
def test_what_a_decision_costs_grows_with_what_there_is_and_no_faster(flood: Flood, fails: bool) -> None:
    none, once, twice = (work(flood, number, fails) for number in (0, 200, 400))
    assert twice - none <= 2.3 * (once - none) + 1000
