"""The next child is made on the pods' own word, on a control plane whose Job controller stands still meanwhile."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from support.eventually import eventually
from support.objects import Jobs
from support.operating import Operator, Pods
from support.small_job import FIRST, NAME, batch_of, finish_generation, manifest, stage, wait_state
from testbed.cluster import Testbed

CONTROLLER = "kube-controller-manager"
Standstill = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def standstill(testbed: Testbed) -> Iterator[Standstill]:
    """Stops the Job controller, and with it what a JobSet learns of its Jobs, for as long as the context lasts."""

    @contextmanager
    def stopped() -> Iterator[None]:
        testbed.kill(CONTROLLER, signal.SIGSTOP)
        try:
            yield
        finally:
            testbed.kill(CONTROLLER, signal.SIGCONT)

    yield stopped


def job_of(api_client: client.ApiClient, namespace: str, stage_name: str) -> Any:
    """The Job of a stage's first attempt; None where there is none."""
    try:
        return batch_of(api_client).read_namespaced_job(f"{NAME}-{stage_name}-0", namespace)
    except ApiException as error:
        assert error.status == 404
        return None


def jobset_of(api_client: client.ApiClient, namespace: str, stage_name: str) -> Any:
    objects: Any = client.CustomObjectsApi(api_client)
    found = objects.list_namespaced_custom_object("jobset.x-k8s.io", "v1alpha2", namespace, "jobsets")["items"]
    return next((jobset for jobset in found if jobset["metadata"]["name"] == f"{NAME}-{stage_name}-0"), None)


def test_the_next_child_is_made_before_the_job_controller_has_seen_the_end(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str, standstill: Standstill
) -> None:
    jobs.create(manifest())
    for name in FIRST:
        pods.wait(name)
    with standstill():
        for name in FIRST:
            pods.succeed(name)
        eventually("the student's conversion", lambda: job_of(api_client, namespace, "convert-student"))
        eventually("the preflight", lambda: job_of(api_client, namespace, "preflight"))
        for name in FIRST:
            assert wait_state(jobs, name, "Complete")["attempt"] == 0
            assert not job_of(api_client, namespace, name).status.conditions
    pods.succeed("preflight")
    pods.succeed("pack-two")
    finish_generation(pods)
    pods.succeed("convert-student")
    first, second = pods.wait("train-one", 2)
    with standstill():
        pods.end_silently(second)
        pods.end(first, metrics={"loss": 2.5})
        eventually("the second training", lambda: jobset_of(api_client, namespace, "train-two"))
        assert not jobset_of(api_client, namespace, "train-one").get("status", {}).get("conditions")
    eventually(
        "the JobSet's own end",
        lambda: jobset_of(api_client, namespace, "train-one").get("status", {}).get("conditions"),
    )
    told = wait_state(jobs, "train-one", "Complete")
    assert (told["attempt"], told["metrics"], "reason" in told) == (0, {"loss": "2.5"}, False)
    pods.wait("train-two")
    assert all(job_of(api_client, namespace, name) for name in FIRST), "their logs are there to be read"


def test_a_job_that_fails_after_its_pod_has_told_the_result_is_told_and_stops_nothing(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str, standstill: Standstill,
    kubectl: Callable[..., str],
) -> None:  # fmt: skip
    jobs.create(manifest())
    pods.wait("fetch-student")
    started = eventually("its start", lambda: job_of(api_client, namespace, "fetch-student").status.start_time)
    with standstill():
        late = {"spec": {"activeDeadlineSeconds": 1}}
        batch_of(api_client).patch_namespaced_job(f"{NAME}-fetch-student-0", namespace, late)
        pods.succeed("fetch-student")
        wait_state(jobs, "fetch-student", "Complete")
        eventually("the deadline", lambda: datetime.now(UTC) - started > timedelta(seconds=2))
    told = wait_state(jobs, "fetch-student", "Complete", "ChildFailedLater")
    assert "longer than specified deadline" in told["message"]
    assert (told["attempt"], told["attempts"]) == (0, {"failures": 0, "disruptions": 0})
    pods.succeed("convert-student")
    wait_state(jobs, "convert-student", "Complete")

    def events() -> list[str]:
        asked = ("--field-selector", "reason=ChildFailedLater")
        return kubectl("get", "events", "-n", namespace, "-o", "name", *asked).split()

    assert len(eventually("an Event", events)) == 1


def test_a_job_that_would_do_complete_work_again_is_ended(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str, standstill: Standstill
) -> None:
    """Its pod was removed, with the finalizer, before the Job controller had counted it."""
    core: Any = client.CoreV1Api(api_client)
    jobs.create(manifest())
    (pod,) = pods.wait("fetch-student")
    with standstill():
        pods.end(pod)
        wait_state(jobs, "fetch-student", "Complete")
        name = pod.metadata.name
        core.patch_namespaced_pod(name, namespace, {"metadata": {"finalizers": None}})
        core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
    eventually("the Job is gone", lambda: job_of(api_client, namespace, "fetch-student") is None)
    eventually("and its pods", lambda: not pods.of_stage("fetch-student"))
    assert stage(jobs, "fetch-student")["state"] == "Complete"
    pods.wait("convert-student")
