"""Events have what kubectl orders them by, keep their order where that is the same, and are few."""

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
        await asyncio.sleep(60)
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
    told = written(*(Event("Normal", "Resumed", f"{number}") for number in range(COUNT)))
    assert [event["message"] for event in told] == [str(number) for number in range(COUNT)]
    assert len({event["metadata"]["name"] for event in told}) == COUNT


def test_a_long_message_is_cut_at_the_api_servers_limit_in_bytes() -> None:
    (event,) = written(Event("Warning", "PodFailed", "é" * 1000))
    assert len(event["message"].encode()) <= 1024 and event["message"].endswith("…")


def complete(stage: str) -> Event:
    return Event("Normal", "StageComplete", f"{stage} is complete.")


def test_stages_that_end_one_after_the_other_are_one_event() -> None:
    (event,) = written(complete("fetch-teacher"), complete("fetch-student"))
    assert event["message"] == "fetch-teacher is complete. fetch-student is complete."


def test_what_was_complete_before_something_else_is_told_before_it() -> None:
    told = written(complete("evaluate"), Event("Normal", "Complete", "All stages are complete."))
    assert [event["reason"] for event in told] == ["StageComplete", "Complete"]


def test_of_many_complete_stages_none_is_cut_off() -> None:
    told = written(*(complete(f"train-{number}") for number in range(100)))
    assert len(told) < 10
    said = " ".join(event["message"] for event in told)
    assert said == " ".join(complete(f"train-{number}").message for number in range(100))


def test_what_waits_for_others_is_told_at_the_end_of_the_process() -> None:
    async def scenario() -> list[str]:
        server, calls = Server(), SideCalls()
        key = server.add_job(small_spec())
        recorder = Recorder(server, calls)
        recorder.tell(server.jobs[key], complete("fetch-teacher"))
        recorder.flush()
        await calls.close()
        return [str(event["message"]) for event in server.events]

    assert run(scenario()) == ["fetch-teacher is complete."]
