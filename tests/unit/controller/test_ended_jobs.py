"""Jobs at rest: what they cost the controller, and what is still done for them. Counted, not timed."""

import asyncio
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from distillation_operator.controller.cache import Cache
from distillation_operator.controller.queue import Key
from distillation_operator.manifests.labels import child_labels
from distillation_operator.pipeline.status.times import format_time
from support.controller import Controller
from support.fleet import Fleet, stop
from support.scenario import small_spec
from support.virtual_time import run

KEY = ("ml", "job")


def ended_job(name: str = "job", version: int = 1, age: timedelta = timedelta(), **changes: Any) -> dict[str, Any]:
    """A finished job as the API server has it."""
    told = {"reason": "Completed", "lastTransitionTime": "2026-11-25T12:00:00Z", "observedGeneration": 1, "message": ""}
    status = {
        "phase": "Complete",
        "observedGeneration": 1,
        "completionTime": format_time(datetime.now(UTC) - age),
        "conditions": [{"type": "Complete", "status": "True", **told}],
        "stages": [{"name": f"stage-{number}", "state": "Complete", "message": "m" * 500} for number in range(12)],
    }
    metadata = {
        "name": name, "namespace": "ml", "uid": f"uid-{name}", "generation": 1, "resourceVersion": str(version),
    }  # fmt: skip
    spec = {"storage": {"persistentVolumeClaim": {"claimName": "c"}, "prefix": name}, "ttlSecondsAfterFinished": 3600}
    made = {"apiVersion": "distillation.dev/v1alpha1", "kind": "DistillationJob"}
    return {**made, "metadata": metadata, "spec": spec, "status": status, **changes}


def child_of(name: str, number: int = 0, version: int = 1, ended: bool = True) -> dict[str, Any]:
    child = f"{name}-export-{number}"
    done = [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-25T12:00:00Z"}]
    return {
        "kind": "Job",
        "metadata": {
            "name": child, "namespace": "ml", "uid": f"uid-{child}", "resourceVersion": str(version),
            "labels": child_labels(name, "export", number, child),
            "ownerReferences": [{"uid": f"uid-{name}", "controller": True}],
        },
        "spec": {},
        "status": {"conditions": done if ended else []},
    }  # fmt: skip


def size_of(thing: Any, seen: set[int]) -> int:
    """Bytes of an object with all that only it refers to."""
    if id(thing) in seen or isinstance(thing, type):
        return 0
    seen.add(id(thing))
    size = sys.getsizeof(thing)
    if isinstance(thing, dict):
        return size + sum(size_of(one, seen) for pair in thing.items() for one in pair)
    if isinstance(thing, (list, tuple, set)):
        return size + sum(size_of(one, seen) for one in thing)
    slots = getattr(thing, "__slots__", ())
    members = [getattr(thing, slot) for slot in slots] if slots else list(getattr(thing, "__dict__", {}).values())
    return size + sum(size_of(one, seen) for one in members)


def test_a_job_at_rest_takes_a_few_hundred_bytes() -> None:
    def held(number: int) -> int:
        cache = Cache()
        for index in range(number):
            cache.put_job(json.loads(json.dumps(ended_job(f"job-{index}"))))
        return size_of(cache, set())

    each = (held(1200) - held(200)) / 1000
    assert each < 1000, each


async def seen(fleet: Fleet, job: dict[str, Any]) -> None:
    """The watch brings what there is."""
    fleet.server.jobs[job["metadata"]["namespace"], job["metadata"]["name"]] = job
    await fleet.operator._job_changed({"type": None, "object": job})


async def seen_from_start(fleet: Fleet, seconds: float = 30.0) -> None:
    acting = asyncio.create_task(fleet.operator._act())
    await asyncio.sleep(seconds)
    await stop(acting)


def test_no_call_is_made_for_a_job_at_rest_at_the_start_nor_later() -> None:
    async def scenario(number: int) -> list[tuple[str, str]]:
        fleet = Fleet()
        for index in range(number):
            await seen(fleet, ended_job(f"job-{index}"))
            fleet.server.add("Job", child_of(f"job-{index}"))
        await asyncio.sleep(0)
        await seen_from_start(fleet, 2000.0)
        return fleet.server.asked

    few, many = run(scenario(2)), run(scenario(60))
    assert few == many
    assert {verb for verb, _ in many} == {"list"}


@pytest.mark.parametrize(("age", "removed"), [(3000, []), (3601, ["job-export-0"])])
def test_children_are_removed_when_their_time_has_come(age: int, removed: list[str]) -> None:
    async def scenario() -> list[str]:
        fleet = Fleet()
        await seen(fleet, ended_job(age=timedelta(seconds=age)))
        fleet.server.add("Job", child_of("job"))
        await seen_from_start(fleet)
        return fleet.server.deleted

    assert run(scenario()) == removed


def test_what_still_runs_of_a_job_that_has_ended_is_stopped() -> None:
    """As after a restart at the moment of its end: the job is read again for it."""

    async def scenario() -> tuple[list[str], list[tuple[str, str]]]:
        fleet = Fleet()
        job = {**ended_job(), "spec": ended_job()["spec"] | small_spec()}
        await seen(fleet, job)
        fleet.server.add("Job", child_of("job", 0))
        fleet.server.add("Job", child_of("job", 1, ended=False))
        await seen_from_start(fleet)
        return fleet.server.deleted, [call for call in fleet.server.asked if call[0] == "get"]

    assert run(scenario()) == (["job-export-1"], [("get", "job")])


def test_another_ones_children_are_not_removed() -> None:
    async def scenario() -> list[str]:
        fleet = Fleet()
        await seen(fleet, ended_job(age=timedelta(days=1)))
        foreign = child_of("job")
        foreign["metadata"]["ownerReferences"] = [{"uid": "of-somebody"}]
        fleet.server.add("Job", foreign)
        await seen_from_start(fleet)
        return fleet.server.deleted

    assert run(scenario()) == []


def at_work(cache: Cache) -> Mapping[str, str]:
    return cache.at_work(("ml", "other"))


def test_what_still_runs_of_a_job_at_rest_is_at_work_in_its_storage() -> None:
    cache = Cache()
    other = ended_job("other", spec={"storage": ended_job()["spec"]["storage"]}, status={"phase": "Running"})
    cache.put_job(other)
    cache.put_job(ended_job())
    running = child_of("job", ended=False)
    running["metadata"]["annotations"] = {"distillation.dev/output": "job/export/0123456789abcdef"}
    cache.put_child("Job", running)
    assert at_work(cache) == {"job/export/0123456789abcdef": "ml/job"}
    cache.put_job(ended_job(version=9))
    assert at_work(cache) == {"job/export/0123456789abcdef": "ml/job"}, "its labels were changed"
    cache.put_child("Job", {**running, **child_of("job", version=2)})
    assert at_work(cache) == {}


def test_a_job_that_is_taken_up_again_is_listed_and_whole() -> None:
    async def scenario() -> tuple[Controller, Key]:
        controller = Controller()
        key = controller.key
        await controller.step()
        job = controller.server.jobs[key]
        stages = [{**stage, "state": "Failed", "reason": "Odd"} for stage in job["status"]["stages"][:1]]
        ended = {**job["status"], "phase": "Failed", "reason": "Odd", "completionTime": "2026-11-25T12:00:00Z"}
        status = {**ended, "stages": [*stages, *job["status"]["stages"][1:]]}
        controller.server.jobs[key] = {
            **job,
            "status": status,
            "metadata": {**job["metadata"], "resourceVersion": "500"},
        }
        controller.server.objects.clear()
        controller.reconciler.request_fresh_lists(key)
        await controller.step()
        assert controller.cache.job(key) is None and controller.cache.ended(key) is not None
        name = stages[0]["name"]
        asked = {**controller.server.jobs[key]["metadata"], "annotations": {"distillation.dev/retry": f"{name}/1"}}
        controller.server.jobs[key]["metadata"] = {**asked, "resourceVersion": "501"}
        controller.server.asked.clear()
        await controller.step()
        return controller, key

    controller, key = asyncio.run(scenario())
    assert controller.status["phase"] != "Failed"
    assert ("list", "Pod") in controller.server.asked
    assert controller.cache.job(key) is not None


def test_a_job_whose_deletion_no_watch_has_told_is_forgotten_at_the_resync() -> None:
    async def scenario() -> int:
        fleet = Fleet()
        for name in ("stays", "goes"):
            await seen(fleet, ended_job(name))
        acting = asyncio.create_task(fleet.operator._act())
        await asyncio.sleep(10)
        del fleet.server.jobs["ml", "goes"]
        await asyncio.sleep(700)
        await stop(acting)
        return fleet.operator._cache.job_count

    assert run(scenario()) == 1
