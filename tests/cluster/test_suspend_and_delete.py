"""Suspended, resumed and deleted in every state that a job can be in."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from support.eventually import eventually
from support.objects import Jobs
from support.operating import Operator, Pods
from support.small_job import (
    FIRST,
    NAME,
    batch_of,
    condition,
    finish_first,
    finish_generation,
    manifest,
    stage,
    wait_state,
)

pytestmark = pytest.mark.timeout(300)


class Walk:
    """One job, brought from state to state."""

    def __init__(self, jobs: Jobs, pods: Pods) -> None:
        self._jobs = jobs
        self._pods = pods

    def created(self) -> None:
        self._jobs.create(manifest(retries={"failures": 5}))

    def fetching(self) -> None:
        self._pods.wait("fetch-teacher")

    def after_a_crash(self) -> None:
        self._pods.fail("fetch-teacher", 1, "ProgramCrashed", "boom")
        eventually("waits", lambda: "again" in stage(self._jobs, "fetch-teacher").get("message", ""))

    def generating(self) -> None:
        finish_first(self._pods)
        wait_state(self._jobs, "pack-two", "Complete")
        self._pods.run("generate", 2)

    def half_generated(self) -> None:
        [first, _] = self._pods.wait("generate", 2)
        self._pods.end(first)
        self._pods.wait("generate", 1)

    def training_on_two_hosts(self) -> None:
        eventually("generated", self._generated)
        self._pods.succeed("convert-student")
        self._pods.succeed("pack-one")
        self._pods.wait("train-one", 2)

    def between_two_trainings(self) -> None:
        self._pods.succeed("train-one", 2)
        wait_state(self._jobs, "train-one", "Complete")

    def evaluating(self) -> None:
        for name in ("train-two", "export-one", "export"):
            self._pods.succeed(name)
        self._pods.wait("evaluate")

    def complete(self) -> None:
        self._pods.succeed("evaluate")
        eventually("Complete", lambda: condition(self._jobs, "Complete").get("status") == "True")

    def _generated(self) -> bool:
        for pod in self._pods.of_stage("generate"):
            self._pods.end(pod)
        return stage(self._jobs, "generate").get("state") == "Complete"


STATES = (
    "created", "fetching", "after_a_crash", "generating", "half_generated", "training_on_two_hosts",
    "between_two_trainings", "evaluating",
)  # fmt: skip


def living(api_client: client.ApiClient, namespace: str) -> list[str]:
    core: Any = client.CoreV1Api(api_client)
    return [
        pod.metadata.name
        for pod in core.list_namespaced_pod(namespace).items
        if pod.status.phase in ("Pending", "Running") and not pod.metadata.deletion_timestamp
    ]


def jobsets_of(api_client: client.ApiClient, namespace: str) -> list[str]:
    objects: Any = client.CustomObjectsApi(api_client)
    listed = objects.list_namespaced_custom_object("jobset.x-k8s.io", "v1alpha2", namespace, "jobsets")
    return [jobset["metadata"]["name"] for jobset in listed["items"]]


def test_suspended_and_resumed_in_every_state(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str
) -> None:
    """Nothing runs while it is suspended, what was done is kept, and nothing of it counts as a failure."""
    walk = Walk(jobs, pods)
    for state in STATES:
        getattr(walk, state)()
        done = {told["name"] for told in stages(jobs) if told["state"] == "Complete"}
        jobs.patch(NAME, {"suspend": True})
        eventually(f"{state}: Suspended", lambda: condition(jobs, "Suspended").get("status") == "True")
        eventually(f"{state}: no pod", lambda: not living(api_client, namespace))
        assert jobs.get(NAME)["status"]["phase"] == "Suspended", state
        jobs.patch(NAME, {"suspend": False})
        eventually(f"{state}: resumed", lambda: condition(jobs, "Suspended").get("status") == "False")
        kept = {told["name"] for told in stages(jobs) if told["state"] == "Complete"}
        assert done <= kept, state
    walk.complete()
    failures = {told["name"]: told["attempts"]["failures"] for told in stages(jobs)}
    assert sum(failures.values()) <= 1, "only the crash counts, if it was seen before the suspension"
    # A job that has ended can't be suspended any more.
    jobs.patch(NAME, {"suspend": True})
    eventually("seen", lambda: is_seen(jobs))
    assert jobs.get(NAME)["status"]["phase"] == "Complete"


def is_seen(jobs: Jobs) -> bool:
    job = jobs.get(NAME)
    return bool(job["status"]["observedGeneration"] == job["metadata"]["generation"])


def stages(jobs: Jobs) -> list[dict[str, Any]]:
    return list((jobs.get(NAME).get("status") or {}).get("stages") or [])


def is_gone(jobs: Jobs, name: str = NAME) -> bool:
    try:
        jobs.get(name)
    except ApiException as error:
        return bool(error.status == 404)
    return False


@pytest.mark.parametrize("operator_lives", [True, False], ids=["with the operator", "without the operator"])
@pytest.mark.parametrize("state", ["created", "after_a_crash", "half_generated", "training_on_two_hosts"])
def test_deleted_in_any_state_nothing_is_left(
    state: str,
    operator_lives: bool,
    jobs: Jobs,
    pods: Pods,
    operator: Operator,
    api_client: client.ApiClient,
    namespace: str,
) -> None:
    """Case 5."""
    walk = Walk(jobs, pods)
    for name in STATES[: STATES.index(state) + 1]:
        getattr(walk, name)()
    if not operator_lives:
        operator.end(signal.SIGKILL)
    jobs.delete(NAME)
    eventually("the job is gone", lambda: is_gone(jobs))
    eventually("its JobSets", lambda: not jobsets_of(api_client, namespace))
    eventually("its Jobs", lambda: not batch_of(api_client).list_namespaced_job(namespace).items)
    eventually("its pods", lambda: not living(api_client, namespace))


def test_a_namespace_goes_while_no_operator_runs(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str
) -> None:
    """Case 5."""
    jobs.create(manifest())
    pods.wait("fetch-teacher")
    operator.end(signal.SIGKILL)
    core: Any = client.CoreV1Api(api_client)
    core.delete_namespace(namespace)
    eventually("gone", lambda: namespace not in [n.metadata.name for n in core.list_namespace().items])
    # The fixture deletes it again.
    core.create_namespace({"metadata": {"name": namespace}})
    operator.start()


def test_a_job_is_deleted_while_the_cluster_has_no_jobset_any_more(
    jobs: Jobs, pods: Pods, operator: Operator, without_jobset: Callable[[], None]
) -> None:
    jobs.create(manifest())
    for name in FIRST:
        pods.wait(name)
    jobs.delete(NAME)
    eventually("the job is gone", lambda: is_gone(jobs))
    eventually("and its pods", lambda: not pods.of_stage("fetch-teacher"))
    # Its name is free again, and the next one works.
    jobs.create(manifest())
    pods.wait("fetch-teacher")


def test_a_pod_on_a_lost_node_is_waited_for_until_it_can_write_no_more(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str
) -> None:
    """Case 33: the next attempt's pods never run while one may still write; deleting the node ends the wait."""
    core: Any = client.CoreV1Api(api_client)
    core.create_node({"metadata": {"name": namespace}})
    jobs.create(manifest())
    finish_first(pods)
    finish_generation(pods)
    pods.succeed("convert-student")
    first, _ = pods.wait("train-one", 2)
    binding = {"metadata": {"name": first.metadata.name}, "target": {"kind": "Node", "name": namespace}}
    core.create_namespaced_binding(namespace, binding, _preload_content=False)
    pods.run("train-one", 2)
    # Suspension deletes the pods; on a node that is lost nothing confirms the end of one.
    jobs.patch(NAME, {"suspend": True})
    eventually("no other pod", lambda: not living(api_client, namespace))
    jobs.patch(NAME, {"suspend": False})
    told = wait_state(jobs, "train-one", "Pending", "PredecessorRuns")
    assert first.metadata.name in told["message"]
    assert f"{NAME}-train-one-1" not in jobsets_of(api_client, namespace)
    assert core.read_namespaced_pod(first.metadata.name, namespace).metadata.deletion_timestamp
    core.delete_node(namespace)
    # What the pod garbage collector does for a node that is gone, after its own time.
    core.delete_namespaced_pod(first.metadata.name, namespace, grace_period_seconds=0)
    eventually("the next attempt", lambda: f"{NAME}-train-one-1" in jobsets_of(api_client, namespace))
    pods.wait("train-one", 2)
