"""What is kept of an object is what reading it whole would give."""

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from distillation_api.resource import DistillationJob
from distillation_operator.controller.parsed_jobs import KEPT, ParsedJobs
from distillation_operator.manifests.reading import read_pod
from distillation_operator.manifests.readings import Readings
from distillation_operator.pipeline.cause import Cause
from support.api_server import Server
from support.scenario import small_spec

KEY = ("ml", "job")


def raw_job(**members: Any) -> dict[str, Any]:
    server = Server()
    return copy.deepcopy({**server.jobs[server.add_job(small_spec())], **members})


@pytest.mark.parametrize(
    "changed",
    [
        {"status": {"phase": "Running"}},
        {"spec": small_spec(retries={"failures": 7})},
        {"metadata": {"name": "job", "namespace": "ml", "uid": "other", "generation": 5}},
        {},
    ],
)
def test_a_change_is_read(changed: dict[str, Any]) -> None:
    parsed = ParsedJobs()
    parsed.parse(KEY, raw_job())
    raw = raw_job(**changed)
    assert parsed.parse(KEY, raw).job == DistillationJob.parse(raw)
    assert parsed.parse(KEY, raw_job()).job == DistillationJob.parse(raw_job())


def test_a_spec_that_stays_keeps_its_graph() -> None:
    parsed = ParsedJobs()
    before = parsed.parse(KEY, raw_job()).graph
    assert parsed.parse(KEY, raw_job(status={"phase": "Running"})).graph is before
    assert parsed.parse(KEY, raw_job(spec=small_spec(retries={"failures": 7}))).graph is not before


def test_a_status_that_cannot_be_read_is_named_as_such() -> None:
    parsed = ParsedJobs()
    parsed.parse(KEY, raw_job())
    with pytest.raises(ValidationError) as error:
        parsed.parse(KEY, raw_job(status={"phase": "Odd"}))
    assert {problem["loc"][0] for problem in error.value.errors()} == {"status"}


def test_what_is_kept_is_bounded() -> None:
    parsed = ParsedJobs()
    raw = raw_job()
    first = parsed.parse(("ml", "0"), raw).graph
    for number in range(1, KEPT + 1):
        parsed.parse(("ml", str(number)), raw)
    assert parsed.parse(("ml", str(KEPT)), raw).graph is parsed.parse(("ml", str(KEPT)), raw).graph
    assert parsed.parse(("ml", "0"), raw).graph is not first


def test_a_pod_is_read_again_when_it_or_what_is_said_of_it_has_changed() -> None:
    server = Server()
    child = {"metadata": {"name": "job-a-0", "namespace": "ml", "uid": "u", "labels": {}}, "kind": "Job"}
    waiting = server.add_pod(child, phase="Pending", containerStatuses=[])
    running = server.add_pod(child)
    readings = Readings()
    event, node = Cause("FailedMount", "m"), Cause("SliceErrorDetected", "s")
    for pod, told, sign in [
        (waiting, None, None),
        (waiting, event, None),
        (running, None, None),
        (running, None, node),
    ]:
        for _ in range(2):
            assert readings.begin().pod(copy.deepcopy(pod), told, sign) == read_pod(pod, told, sign)
