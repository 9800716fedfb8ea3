"""A status that this operator can't read, as a newer one writes: its facts (what is complete, and where it lies) are
kept for those who can.
"""

import asyncio
import copy
from typing import Any

import pytest

from distillation_api.status import DistillationJobStatus
from distillation_operator.manifests.allowed import Allowed
from distillation_operator.manifests.settings import Installation
from support.controller import Controller

NEWER: dict[str, Any] = {
    "observedGeneration": 1,
    "phase": "Running",
    "stages": [
        {"name": "fetch-teacher", "state": "Complete", "directory": "a/b", "fingerprint": "0" * 16, "checksum": "new"},
        {"name": "generate", "state": "Thawing"},
    ],
    "conditions": [
        {
            "type": "Accepted",
            "status": "True",
            "reason": "SpecValid",
            "message": "The spec is understood.",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-11-25T12:00:00Z",
        },
        {"type": "Verified", "status": "True", "reason": "Signed", "lastTransitionTime": "2026-11-25T12:00:00Z"},
    ],
    "results": {"signature": "abc"},
}


def controller_with(status: dict[str, Any], **spec: Any) -> Controller:
    controller = Controller(**spec)
    controller.server.jobs[controller.key]["status"] = copy.deepcopy(status)
    return controller


def facts(status: dict[str, Any]) -> dict[str, Any]:
    """All but what the operator tells of itself."""
    told = ("Accepted", "Reconciling", "Stalled")
    others = [condition for condition in status["conditions"] if condition["type"] not in told]
    return {**{name: fact for name, fact in status.items() if name != "reason"}, "conditions": others}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [({}, "StatusUnreadable"), ({"storage": {"tape": {}}}, "InvalidSpec")],
    ids=["the status alone", "the spec too"],
)
def test_what_can_not_be_read_stays_and_why_nothing_happens_is_told(spec: dict[str, Any], reason: str) -> None:
    async def scenario() -> Controller:
        controller = controller_with(NEWER, **spec)
        await controller.step()
        assert [verb for verb, _ in controller.server.asked] == ["update"]
        await controller.step()
        assert [verb for verb, _ in controller.server.asked] == ["update"], "at rest nothing is written"
        return controller

    controller = asyncio.run(scenario())
    assert facts(controller.status) == facts(NEWER)
    assert controller.status["reason"] == reason
    for kind, status in (("Accepted", "False"), ("Reconciling", "False"), ("Stalled", "True")):
        condition = controller.condition(kind)
        assert (condition["status"], condition["reason"]) == (status, reason)
    assert "Thawing" in controller.condition("Stalled")["message"] or reason == "InvalidSpec"
    assert controller.server.objects == {}
    assert controller.server.events == []


@pytest.mark.parametrize("phase", ["Complete", "Failed"])
def test_a_job_that_has_ended_stays_as_it_ended(phase: str) -> None:
    controller = controller_with({**NEWER, "phase": phase})
    asyncio.run(controller.step())
    assert controller.status == {**NEWER, "phase": phase}
    assert controller.server.asked == []


def test_it_goes_on_when_the_status_can_be_read_again() -> None:
    async def scenario() -> Controller:
        controller = controller_with(NEWER)
        await controller.step()
        known = controller.server.jobs[controller.key]
        stages = [{**NEWER["stages"][0]}]
        del stages[0]["checksum"]
        conditions = [c for c in known["status"]["conditions"] if c["type"] != "Verified"]
        status = {"phase": "Running", "stages": stages, "conditions": conditions}
        metadata = {**known["metadata"], "resourceVersion": "1000"}
        controller.server.jobs[controller.key] = {**known, "metadata": metadata, "status": status}
        await controller.step()
        return controller

    controller = asyncio.run(scenario())
    assert controller.condition("Stalled")["status"] == "False"
    assert controller.condition("Accepted")["status"] == "True"
    made = {child["metadata"]["name"] for child in controller.server.children(controller.key)}
    assert made == {"job-fetch-student-0", "job-prepare-dataset-0"}, "what is complete isn't done again"


def test_a_refusal_tells_nothing_again_that_was_told() -> None:
    """A job that runs, in an installation that comes to allow less: its stages haven't ended a second time."""

    async def scenario() -> Controller:
        stages = [{"name": "fetch-teacher", "state": "Complete", "directory": "a/b", "fingerprint": "0" * 16}]
        narrow = Installation(allowed=Allowed(claims=[]))
        controller = controller_with({"phase": "Suspended", "stages": stages}, installation=narrow)
        await controller.step()
        await asyncio.sleep(0)
        return controller

    controller = asyncio.run(scenario())
    assert controller.condition("Accepted")["reason"] == "NotAllowedHere"
    assert controller.status["stages"][0]["state"] == "Complete"
    assert [event["reason"] for event in controller.server.events] == []


@pytest.mark.parametrize(("state", "writes", "reason"), [("Failed", 1, "ModelNotFound"), ("Complete", 0, None)])
def test_a_job_that_ended_before_jobs_had_reasons_gets_one_by_one_write(
    state: str, writes: int, reason: str | None
) -> None:
    async def scenario() -> Controller:
        stage = {"name": "fetch-teacher", "state": state, **({"reason": reason} if reason else {})}
        old = {"observedGeneration": 1, "phase": state, "completionTime": "2026-11-25T12:00:00Z", "stages": [stage]}
        status = DistillationJobStatus.model_validate(old).to_json_dict()
        controller = controller_with(status)
        for _ in range(3):
            await controller.step()
        assert [verb for verb, _ in controller.server.asked if verb == "update"] == ["update"] * writes
        return controller

    assert asyncio.run(scenario()).status.get("reason") == reason


@pytest.mark.parametrize("phase", ["Complete", "Failed"])
def test_a_job_that_has_ended_stays_so_when_its_spec_is_of_another_version(phase: str) -> None:
    """As one with an accelerator that this operator doesn't have any more."""

    async def scenario() -> None:
        controller = controller_with({"phase": phase, "stages": []}, storage={"tape": {}})
        await controller.step()
        assert controller.server.asked == [] and controller.status["phase"] == phase

    asyncio.run(scenario())
