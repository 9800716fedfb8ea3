"""What nodes tell of running pods with chips is read beside the decisions: soon, of few nodes, only with the right."""

import asyncio
from typing import Any

import pytest

from distillation_operator.controller import node_signs
from distillation_operator.controller.node_signs import NodeSigns
from distillation_operator.controller.queue import Key
from distillation_operator.controller.side_calls import SideCalls
from distillation_operator.controller.turns import READS_PER_SECOND
from support.api_server import Server
from support.fleet import Fleet, acting
from support.virtual_time import now, run

HANG = {"type": "SliceErrorDetected", "status": "True", "message": "SLICE_FAILURE_WORKER_UNAVAILABLE"}
STAGE = "fetch-teacher"
"""Any will do: what counts is what the pod was given."""


def node(name: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"conditions": list(conditions)}}


def reads(fleet: Fleet) -> list[str]:
    return [name for verb, name in fleet.server.asked if verb == "get" and name.startswith("node ")]


def test_a_slice_error_is_told_within_ten_seconds_and_until_it_is_over() -> None:
    async def scenario(fleet: Fleet, key: Key) -> list[Any]:
        fleet.server.nodes["node-0"] = node("node-0")
        fleet.run_pods(key, STAGE, 1, chips=4)
        await asyncio.sleep(33)
        healthy = fleet.stage(key, STAGE)
        fleet.server.nodes["node-0"] = node("node-0", HANG)
        await asyncio.sleep(10)
        ill = fleet.stage(key, STAGE)
        await asyncio.sleep(60)
        fleet.server.nodes["node-0"] = node("node-0")
        await asyncio.sleep(10)
        return [healthy, ill, fleet.stage(key, STAGE), *fleet.server.events]

    healthy, ill, mended, *events = acting(scenario)
    assert (healthy["state"], healthy.get("reason")) == ("Running", None)
    assert (ill["state"], ill["reason"]) == ("Running", "SliceErrorDetected")
    assert ill["message"] == "node-0: SLICE_FAILURE_WORKER_UNAVAILABLE"
    assert (mended["state"], mended.get("reason")) == ("Running", None)
    told = [(event["type"], event["message"]) for event in events if event["reason"] == "SliceErrorDetected"]
    assert told == [("Warning", f"{STAGE}: node-0: SLICE_FAILURE_WORKER_UNAVAILABLE")]


def test_nodes_of_pods_without_chips_are_not_read() -> None:
    async def scenario(fleet: Fleet, key: Key) -> list[tuple[str, str]]:
        fleet.server.nodes["node-0"] = node("node-0", HANG)
        fleet.run_pods(key, STAGE, 1)
        await asyncio.sleep(60)
        return [call for call in fleet.server.asked if "node" in call[1]]

    assert acting(scenario) == []


def test_without_the_right_nothing_is_read_and_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(fleet: Fleet, key: Key) -> tuple[list[str], int, dict[str, Any]]:
        fleet.server.may_read_nodes = False
        fleet.server.nodes["node-0"] = node("node-0", HANG)
        fleet.run_pods(key, STAGE, 1, chips=4)
        await asyncio.sleep(1800)
        asked = fleet.server.asked.count(("ask", "get nodes"))
        denied = reads(fleet)
        fleet.server.may_read_nodes = True
        await asyncio.sleep(node_signs.SECONDS_WITHOUT_RIGHT + 20)
        return denied, asked, fleet.stage(key, STAGE)

    with caplog.at_level("INFO"):
        denied, asked, stage = acting(scenario)
    assert denied == [] and asked <= 4
    assert len([line for line in caplog.messages if "no permission to get nodes" in line]) == 1
    assert stage["reason"] == "SliceErrorDetected", "the right was given later"


def test_a_node_that_is_gone_tells_nothing() -> None:
    async def scenario(fleet: Fleet, key: Key) -> dict[str, Any]:
        fleet.server.nodes["node-0"] = node("node-0", HANG)
        fleet.run_pods(key, STAGE, 1, chips=4)
        await asyncio.sleep(15)
        assert fleet.stage(key, STAGE)["reason"] == "SliceErrorDetected"
        del fleet.server.nodes["node-0"]
        await asyncio.sleep(15)
        return fleet.stage(key, STAGE)

    assert acting(scenario).get("reason") is None


def test_of_two_thousand_jobs_nodes_are_read_at_a_bounded_rate() -> None:
    async def scenario() -> tuple[int, int]:
        server = Server(seconds=0.01)
        calls = SideCalls()
        signs = NodeSigns(server, calls, unheard)
        pods = {
            ("ml", f"job-{number}"): [
                {
                    "metadata": {"name": "pod"},
                    "spec": {
                        "nodeName": f"node-{number}",
                        "containers": [{"name": "stage", "resources": {"limits": {"google.com/tpu": "4"}}}],
                    },
                    "status": {"phase": "Running"},
                }
            ]
            for number in range(2000)
        }
        for key, of_job in pods.items():
            signs.known(key, of_job)
        await asyncio.sleep(10)
        server.asked.clear()
        for _ in range(50):
            for key, of_job in pods.items():
                signs.known(key, of_job)
            await asyncio.sleep(5)
        asked = [name for verb, name in server.asked if verb == "get"]
        assert now() > 250
        await calls.close()
        return len(asked), len(set(asked))

    count, nodes = run(scenario())
    assert count <= 250 * READS_PER_SECOND * 1.6, "in the first round all are due"
    assert nodes == 2000, "each has its turn"


def unheard(key: Key) -> None:
    """Of no interest here."""
