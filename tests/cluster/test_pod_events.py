"""What is told of a pod in Events alone stands in the status of its job within seconds. No kubelet runs: the test says
what one would.
"""

import time
from typing import Any

from kubernetes import client

from support.eventually import eventually
from support.objects import Jobs
from support.operating import Operator, Pod, Pods
from support.small_job import manifest, stage, wait_state

SECONDS = 10.0
MOUNT = 'MountVolume.SetUp failed for volume "storage" : rpc error: code = PermissionDenied desc = bucket "b"'


def warn(core: Any, pod: Pod, reason: str, message: str) -> None:
    """What the kubelet says."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    about = {"kind": "Pod", "name": pod.metadata.name, "namespace": pod.metadata.namespace, "uid": pod.metadata.uid}
    said = {"type": "Warning", "reason": reason, "message": message, "firstTimestamp": when, "lastTimestamp": when}
    body = {"metadata": {"generateName": "told-"}, "involvedObject": about, "source": {"component": "kubelet"}, **said}
    core.create_namespaced_event(pod.metadata.namespace, body)


def test_a_volume_that_cannot_be_mounted_is_told_until_the_pod_runs(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient
) -> None:
    """U25."""
    core: Any = client.CoreV1Api(api_client)
    jobs.create(manifest())
    (pod,) = pods.wait("fetch-teacher")
    pods.bind(pod, "node-1")
    warn(core, pod, "FailedMount", MOUNT)
    told = eventually(
        "FailedMount is told", lambda: reason_is(stage(jobs, "fetch-teacher"), "FailedMount"), SECONDS + 5.0
    )
    assert (told["state"], told["message"]) == ("Pending", MOUNT)
    pods.run("fetch-teacher")
    assert "reason" not in wait_state(jobs, "fetch-teacher", "Running")


def test_an_autoscaler_without_stock_is_told_with_the_schedulers_words(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient
) -> None:
    core: Any = client.CoreV1Api(api_client)
    jobs.create(manifest())
    (pod,) = pods.wait("fetch-teacher")
    warn(core, pod, "FailedScaleUp", "GCE out of resources")
    told = eventually(
        "the stock is told", lambda: words_in(stage(jobs, "fetch-teacher"), "FailedScaleUp: GCE out of resources"), 30.0
    )
    assert told["reason"] == "Unschedulable"


def reason_is(told: dict[str, Any], reason: str) -> dict[str, Any] | None:
    return told if told.get("reason") == reason else None


def words_in(told: dict[str, Any], words: str) -> dict[str, Any] | None:
    return told if words in told.get("message", "") else None
