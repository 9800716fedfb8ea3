"""Events about pods that don't start are read beside the decisions: soon, seldom, and of few pods at a time."""

import asyncio
from typing import Any

from distillation_operator.controller import pod_events
from distillation_operator.controller.queue import Key
from support.fleet import CREATING, Fleet, acting
from support.virtual_time import now

MOUNT = 'MountVolume.SetUp failed for volume "storage"'


def stand_still(fleet: Fleet, key: Key, count: int = 1, stage: str = "fetch-teacher") -> list[str]:
    """The UIDs of that many pods that are on a node and don't start."""
    child = fleet.child(key, stage)
    return [fleet.server.add_pod(child, number, **CREATING)["metadata"]["uid"] for number in range(count)]


def warn(fleet: Fleet, uid: str, message: str = MOUNT) -> None:
    """What a kubelet says of a pod."""
    event = {"type": "Warning", "reason": "FailedMount", "message": message, "metadata": {}}
    fleet.server.pod_events.append({**event, "involvedObject": {"uid": uid}})


def events_asked(fleet: Fleet) -> list[str]:
    return [name for verb, name in fleet.server.asked if verb == "list" and name.startswith("events of")]


def test_a_volume_that_cannot_be_mounted_is_told_within_ten_seconds() -> None:
    """U25."""

    async def scenario(fleet: Fleet, key: Key) -> list[Any]:
        (uid,) = stand_still(fleet, key)
        warn(fleet, uid)
        await asyncio.sleep(10)
        first = fleet.stage(key, "fetch-teacher")
        fleet.run_pods(key, "fetch-teacher", 1)
        await asyncio.sleep(2)
        return [first, fleet.stage(key, "fetch-teacher"), *fleet.server.events]

    before, after, *events = acting(scenario)
    assert (before["state"], before["reason"], before["message"]) == ("Pending", "FailedMount", MOUNT)
    assert (after["state"], after.get("reason")) == ("Running", None)
    assert [event["message"] for event in events if event["reason"] == "FailedMount"] == [f"fetch-teacher: {MOUNT}"]


def test_what_comes_to_be_in_the_way_later_is_told_within_ten_seconds() -> None:
    async def scenario(fleet: Fleet, key: Key) -> dict[str, Any]:
        (uid,) = stand_still(fleet, key)
        await asyncio.sleep(60)
        warn(fleet, uid)
        await asyncio.sleep(10)
        return fleet.stage(key, "fetch-teacher")

    assert acting(scenario)["reason"] == "FailedMount"


def test_a_pod_that_starts_soon_is_not_asked_about() -> None:
    async def scenario(fleet: Fleet, key: Key) -> list[str]:
        stand_still(fleet, key)
        await asyncio.sleep(pod_events.SECONDS_TO_START - 1)
        fleet.run_pods(key, "fetch-teacher", 1)
        await asyncio.sleep(60)
        return events_asked(fleet)

    assert acting(scenario) == []


def test_the_longer_a_pod_stands_still_the_seldomer_it_is_asked_about() -> None:
    async def scenario(fleet: Fleet, key: Key) -> list[int]:
        stand_still(fleet, key)
        counts = []
        for _ in range(3):
            fleet.server.asked.clear()
            await asyncio.sleep(600)
            counts.append(len(events_asked(fleet)))
        return counts

    first, second, third = acting(scenario)
    assert 20 < first < 60 and second <= 11 and third <= 11


def test_of_many_pods_a_few_are_asked_about_at_a_time_and_each_has_its_turn() -> None:
    async def scenario(fleet: Fleet, key: Key) -> tuple[int, set[str], str]:
        uids = stand_still(fleet, key, 64)
        warn(fleet, uids[-1])
        for _ in range(100):
            # Each change of a pod is a look at the job.
            fleet.server.add_pod(fleet.child(key, "fetch-teacher"), 63, **CREATING)
            await asyncio.sleep(1)
        asked = events_asked(fleet)
        return len(asked), set(asked), fleet.stage(key, "fetch-teacher")["reason"]

    count, pods, reason = acting(scenario)
    assert count <= 4 * 100 / 3.5
    assert (len(pods), reason) == (64, "FailedMount")


def test_events_that_are_not_answered_hold_up_nothing() -> None:
    async def scenario(fleet: Fleet, key: Key) -> tuple[float, str]:
        fleet.server.silent_about_events = True
        stand_still(fleet, key, 256)
        await asyncio.sleep(60)
        told = fleet.stage(key, "fetch-teacher")["reason"]
        for stage in ("fetch-teacher", "fetch-student", "prepare-dataset"):
            fleet.end(key, stage)
        begun = now()
        await asyncio.sleep(3)
        return fleet.made[key, "preflight"] - begun, told

    seconds, told = acting(scenario)
    assert seconds < 0.5
    assert told == "PodsStarting"
