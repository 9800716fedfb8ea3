"""What a job's life costs, counted: graphs that are built, decisions, writes."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from distillation_operator.controller import reconcile
from distillation_operator.controller.queue import Key
from distillation_operator.pipeline import spec_graph
from distillation_operator.pipeline.decision.job import decide
from distillation_operator.pipeline.graph import build_shape
from distillation_operator.pipeline.status.chip_hours import PERIOD
from distillation_operator.pipeline.status.times import format_time
from support.fleet import Fleet, acting, stop
from support.scenario import SOURCES
from support.virtual_time import run

MOST_WRITES = 12
"""Beyond the creations of a job of 13 children, whose pods end soon."""
MOMENT = 3.0
"""A watch has told of all, and what waited for more is written."""
STAGE = "fetch-teacher"


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a graph was built and a decision made."""
    counted: Counter[str] = Counter()

    def counting(what: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            counted[what] += 1
            return real(*args)

        return call

    monkeypatch.setattr(spec_graph, "build_shape", counting("graph", build_shape))
    monkeypatch.setattr(reconcile, "decide", counting("decision", decide))
    return counted


def writes(fleet: Fleet) -> Counter[str]:
    """Writes by verb: create (children), update (status), event."""
    return Counter(verb for verb, _ in fleet.server.asked if verb in ("create", "update", "event"))


def hear_of_own_writes(fleet: Fleet) -> None:
    """The watch tells of statuses too."""
    write = fleet.server.write_status

    async def write_and_tell(job: Any, status: Any) -> Any:
        written = await write(job, status)
        await fleet.operator._job_changed({"type": "MODIFIED", "object": written})
        return written

    fleet.server.write_status = write_and_tell  # type: ignore[method-assign]


def phase(fleet: Fleet, key: Key) -> str:
    return str(fleet.server.jobs[key].get("status", {}).get("phase"))


async def live(fleet: Fleet, key: Key, seconds: float) -> None:
    """The pods of all children appear, run for so long, and end well."""
    begun: set[str] = set()
    while phase(fleet, key) != "Complete":
        new = [child["metadata"]["labels"]["distillation.dev/stage"] for child in fleet.server.children(key)]
        new = [stage for stage in new if stage not in begun]
        begun.update(new)
        for stage in new:
            fleet.server.add_pod(fleet.child(key, stage), phase="Pending", containerStatuses=[])
        await asyncio.sleep(0.2)
        for stage in new:
            fleet.run_pods(key, stage, 1)
        await asyncio.sleep(seconds)
        for stage in new:
            fleet.end(key, stage)
        await asyncio.sleep(0.2)


def run_life(seconds: float) -> tuple[Counter[str], list[str]]:
    """All writes of a life whose pods each run so long, and the reasons of its Events."""

    async def scenario(fleet: Fleet, key: Key) -> tuple[Counter[str], list[str]]:
        hear_of_own_writes(fleet)
        await live(fleet, key, seconds)
        await asyncio.sleep(60)
        return writes(fleet), [str(event["reason"]) for event in fleet.server.events]

    return acting(scenario)


@pytest.mark.parametrize("seconds", [0.0, 2.0, 4.0])
def test_a_life_is_few_writes(done: Counter[str], seconds: float) -> None:
    counted, events = run_life(seconds)
    assert counted["create"] == 13
    assert counted["update"] + counted["event"] <= MOST_WRITES, (counted, events)
    assert events[-1] == "Complete" and "StageComplete" in events


def test_a_graph_is_built_once_for_each_generation(done: Counter[str]) -> None:
    async def scenario(fleet: Fleet, key: Key) -> list[int]:
        await live(fleet, key, 0)
        counted = [done["graph"]]
        other = await fleet.add_job("other")
        await asyncio.sleep(MOMENT)
        counted.append(done["graph"])
        job = fleet.server.jobs[other]
        metadata = {**job["metadata"], "generation": 2, "resourceVersion": "100000"}
        changed = {**job, "metadata": metadata, "spec": {**job["spec"], "retries": {"failures": 7}}}
        fleet.server.jobs[other] = changed
        await fleet.operator._job_changed({"type": "MODIFIED", "object": changed})
        await asyncio.sleep(MOMENT)
        return [*counted, done["graph"]]

    assert acting(scenario) == [1, 2, 3]


def test_nothing_is_decided_or_written_while_nothing_changes(done: Counter[str]) -> None:
    async def scenario(fleet: Fleet, key: Key) -> tuple[int, Counter[str]]:
        for stage in SOURCES:
            fleet.run_pods(key, stage, 1)
        await asyncio.sleep(MOMENT)
        done.clear()
        before = writes(fleet)
        await asyncio.sleep(500)
        return done["decision"], writes(fleet) - before

    assert acting(scenario) == (0, {})


def test_of_pods_with_chips_only_the_count_of_chip_hours_is_due(done: Counter[str]) -> None:
    """Their nodes are read more often, and seldom have news."""

    async def scenario(fleet: Fleet, key: Key) -> int:
        for stage in (*SOURCES, "convert-student", "preflight", "pack-two"):
            fleet.end(key, stage)
            await asyncio.sleep(MOMENT)
        fleet.server.add_pod(fleet.child(key, "generate"), chips=8, startTime=format_time(datetime.now(UTC)))
        await asyncio.sleep(MOMENT)
        done.clear()
        await asyncio.sleep(10 * PERIOD.total_seconds())
        return done["decision"]

    accelerator = {"type": "tpu-v5-lite-podslice", "topology": "2x4", "chipsPerHost": 8}
    assert acting(scenario, generation={"shards": 1, "accelerator": accelerator}) == 10


def test_what_a_watch_tells_twice_is_decided_once(done: Counter[str]) -> None:
    async def scenario(fleet: Fleet, key: Key) -> int:
        for stage in SOURCES:
            fleet.run_pods(key, stage, 1)
        await asyncio.sleep(MOMENT)
        done.clear()
        for _ in range(5):
            fleet.run_pods(key, STAGE, 1)
            await asyncio.sleep(MOMENT)
        return done["decision"]

    assert acting(scenario) == 0


def test_an_end_and_what_follows_it_is_one_write(done: Counter[str]) -> None:
    async def scenario(fleet: Fleet, key: Key) -> tuple[Counter[str], str, str]:
        hear_of_own_writes(fleet)
        fleet.run_pods(key, "fetch-student", 1)
        await asyncio.sleep(MOMENT)
        before = writes(fleet)
        fleet.end(key, "fetch-student")
        await asyncio.sleep(0.1)
        fleet.run_pods(key, "convert-student", 1)
        await asyncio.sleep(MOMENT)
        counted = writes(fleet) - before
        return counted, fleet.stage(key, "fetch-student")["state"], fleet.stage(key, "convert-student")["state"]

    assert acting(scenario) == ({"create": 1, "update": 1}, "Complete", "Running")


def test_a_child_waits_for_no_write(done: Counter[str]) -> None:
    async def scenario(fleet: Fleet, key: Key) -> float:
        fleet.run_pods(key, "fetch-student", 1)
        await asyncio.sleep(MOMENT)
        begun = asyncio.get_running_loop().time()
        fleet.end(key, "fetch-student")
        await asyncio.sleep(MOMENT)
        return fleet.made[key, "convert-student"] - begun

    assert acting(scenario) < 0.1


def log_of(steps: int, total: int) -> str:
    line = {"type": "progress", "stage": "s", "done": steps, "total": total, "unit": "rows", "rate": 3}
    return json.dumps(line) + "\n"


def progress_of(total: int, per_second: float, seconds: int) -> tuple[int, dict[str, Any]]:
    """Status writes of a stage that goes on so fast, and what its progress is in the end."""

    async def scenario(fleet: Fleet, key: Key) -> tuple[int, dict[str, Any]]:
        fleet.run_pods(key, STAGE, 1)
        await asyncio.sleep(MOMENT)
        before = writes(fleet)
        for second in range(seconds):
            fleet.server.logs[f"job-{STAGE}-0-0-abcde"] = log_of(int(second * per_second), total)
            await asyncio.sleep(1)
        return (writes(fleet) - before)["update"], dict(fleet.stage(key, STAGE)["progress"])

    return acting(scenario)


def test_progress_is_written_in_steps_that_a_reader_sees() -> None:
    quick, shown = progress_of(total=1000, per_second=4, seconds=240)
    assert 240 / 20 <= quick <= 240 / 10 + 1
    assert 960 - shown["done"] <= 4 * 20
    slow, shown = progress_of(total=1_000_000, per_second=4, seconds=240)
    assert 240 / 40 <= slow <= 240 / 30 + 1
    assert 960 - shown["done"] <= 4 * 40


def test_the_first_progress_is_shown_soon() -> None:
    async def scenario(fleet: Fleet, key: Key) -> Any:
        fleet.server.logs[f"job-{STAGE}-0-0-abcde"] = log_of(1, 1000)
        fleet.run_pods(key, STAGE, 1)
        await asyncio.sleep(2)
        return fleet.stage(key, STAGE)["progress"]["done"]

    assert acting(scenario) == 1


def test_an_estimate_is_no_news_by_itself() -> None:
    writes_of_the_same, _ = progress_of(total=1_000_000, per_second=0, seconds=600)
    assert writes_of_the_same == 1


def test_a_status_that_is_lost_with_its_operator_is_found_again() -> None:
    async def scenario() -> tuple[Counter[str], str, list[str]]:
        fleet = Fleet()
        first = asyncio.create_task(fleet.operator._act())
        key = await fleet.add_job("job")
        await asyncio.sleep(MOMENT)
        before = writes(fleet)
        fleet.end(key, "fetch-student")
        await asyncio.sleep(0.2)
        await stop(first)
        lost = fleet.stage(key, "fetch-student")["state"]
        fleet.restart()
        await fleet.hear_of_all()
        second = asyncio.create_task(fleet.operator._act())
        await asyncio.sleep(MOMENT)
        await stop(second)
        found = [fleet.stage(key, stage)["state"] for stage in ("fetch-student", "convert-student")]
        return writes(fleet) - before, lost, found

    counted, lost, found = run(scenario())
    assert (lost, found) == ("Pending", ["Complete", "Pending"])
    assert counted == {"create": 1, "update": 1}
