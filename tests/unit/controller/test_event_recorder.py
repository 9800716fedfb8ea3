"""Events have what kubectl orders them by, and keep their order where that is the same."""

import asyncio
from datetime import datetime
from typing import Any

from distillation_operator.controller.event_recorder import Recorder
from distillation_operator.controller.side_calls import SideCalls
from distillation_operator.pipeline.status.events import Event
from support.api_server import Server
from support.scenario import small_spec
from support.virtual_time import run

COUNT = 20


def written(*events: Event) -> list[dict[str, Any]]:
    """The Events as the API server gets them, in the order in which it lists them."""

    async def scenario() -> list[dict[str, Any]]:
        server = Server()
        key = server.add_job(small_spec())
        recorder = Recorder(server, SideCalls())
        for event in events:
            recorder.tell(server.jobs[key], event)
        await asyncio.sleep(10)
        return [dict(event) for event in server.events]

    return sorted(run(scenario()), key=lambda event: event["metadata"]["name"])


def test_both_times_stand_beside_the_exact_one() -> None:
    (event,) = written(Event("Warning", "ModelNotFound", "fetch-teacher failed: no model"))
    assert (event["apiVersion"], event["kind"], event["count"]) == ("v1", "Event", 1)
    assert event["firstTimestamp"] == event["lastTimestamp"]
    assert event["eventTime"].startswith(event["lastTimestamp"].removesuffix("Z"))
    assert datetime.fromisoformat(event["lastTimestamp"]).microsecond == 0
    about = event["involvedObject"]
    assert (about["kind"], about["namespace"], about["uid"]) == ("DistillationJob", "ml", "uid-ml-job")


def test_those_of_one_second_are_listed_in_their_order() -> None:
    told = written(*(Event("Normal", "StageRunning", f"{number}") for number in range(COUNT)))
    assert [event["message"] for event in told] == [str(number) for number in range(COUNT)]
    assert len({event["metadata"]["name"] for event in told}) == COUNT


def test_a_long_message_is_cut_at_the_api_servers_limit_in_bytes() -> None:
    (event,) = written(Event("Warning", "PodFailed", "é" * 1000))
    assert len(event["message"].encode()) <= 1024 and event["message"].endswith("…")
