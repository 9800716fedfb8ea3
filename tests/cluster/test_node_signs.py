"""What a node with chips tells of a hang, an error of its slice or maintenance stands within ten seconds in the status
of the job whose pods run there. No kubelet runs: the test says what GKE's parts would.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client

from distillation_api.reasons import REASONS
from support.eventually import eventually
from support.objects import Jobs
from support.operating import Operator, Pods
from support.small_job import finish_first, manifest, stage

SECONDS = 10.0
NODE = "gke-tpu-1"
ACCELERATOR = {"type": "tpu-v5-lite-podslice", "topology": "2x4", "chipsPerHost": 8}


@pytest.fixture
def core(api_client: client.ApiClient) -> Iterator[Any]:
    """The client, and a node."""
    made: Any = client.CoreV1Api(api_client)
    made.create_node({"metadata": {"name": NODE}, "spec": {"unschedulable": True}})
    yield made
    made.delete_node(NODE)


def hang(core: Any, message: str) -> None:
    """GKE's device plugin, which has it from libtpu."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    times = {"lastHeartbeatTime": when, "lastTransitionTime": when}
    condition = {"type": "MegascaleHangDetected", "status": "True", "reason": "Hang", "message": message, **times}
    core.patch_node_status(NODE, {"status": {"conditions": [condition]}})


def test_what_a_node_tells_of_a_running_pod_with_chips(
    jobs: Jobs, pods: Pods, core: Any, namespace: str, operator: Operator
) -> None:
    jobs.create(manifest(generation={"accelerator": ACCELERATOR, "shards": 1}))
    finish_first(pods)
    (pod,) = pods.wait("generate")
    pods.bind(pod, NODE)
    pods.run("generate")
    eventually("it runs", lambda: stage(jobs, "generate").get("state") == "Running")
    hang(core, "slice 1 waits for slice 0")
    told = eventually("the hang is told", reason_is(jobs, "MegascaleHangDetected"), SECONDS)
    assert (told["state"], told["message"]) == ("Running", f"{NODE}: slice 1 waits for slice 0")
    core.patch_node_status(NODE, {"status": {"conditions": [{"type": "MegascaleHangDetected", "status": "False"}]}})
    core.patch_node(NODE, {"metadata": {"labels": {"cloud.google.com/scheduled-maintenance-time": "1795834800"}}})
    told = eventually("maintenance is told", reason_is(jobs, "MaintenanceScheduled"), SECONDS)
    assert told["message"].endswith("2026-11-28T03:00:00Z")
    noted = {event.reason: event.message for event in core.list_namespaced_event(namespace).items}
    for reason in ("MegascaleHangDetected", "MaintenanceScheduled"):
        assert NODE in noted[reason] and REASONS[reason].remedy


def reason_is(jobs: Jobs, reason: str) -> Callable[[], dict[str, Any] | None]:
    def look() -> dict[str, Any] | None:
        told = stage(jobs, "generate")
        return told if told.get("reason") == reason else None

    return look
