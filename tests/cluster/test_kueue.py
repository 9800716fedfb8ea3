"""Jobs in a queue of the real Kueue controller: one waits and says why, one is evicted and goes on."""

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config

from support.audit import events
from support.cluster import cluster_with_kueue
from support.eventually import eventually
from support.objects import Jobs
from support.operating import Operator, Pods
from support.small_job import manifest, named
from testbed.cluster import Testbed

KUEUE = ("kueue.x-k8s.io", "v1beta2")
V5E = {"type": "tpu-v5-lite-podslice", "topology": "2x4", "chipsPerHost": 8}
V4 = {"type": "tpu-v4-podslice", "topology": "2x2x2"}
NAMESPACE = "queued"
ALL = "all-queue"
"""A queue in which one pod of CPU has place at a time, beside eight chips."""
CPU_POD = {"cpu": "2", "memory": "4Gi"}
CHIPS = 8
FIRST = ("fetch-teacher", "fetch-student", "prepare-dataset")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def testbed() -> Iterator[Testbed]:
    with cluster_with_kueue("pytest-kueue") as made:
        yield made


@pytest.fixture(scope="module")
def api_client(testbed: Testbed) -> client.ApiClient:
    return config.new_client_from_config(str(testbed.kubeconfig))  # type: ignore[no-untyped-call, no-any-return]


@pytest.fixture(scope="module")
def objects(api_client: client.ApiClient) -> Any:
    return client.CustomObjectsApi(api_client)


@pytest.fixture(scope="module")
def namespace(api_client: client.ApiClient, objects: Any) -> str:
    """A namespace with a queue that has eight chips."""
    core: Any = client.CoreV1Api(api_client)
    core.create_namespace({"metadata": {"name": NAMESPACE}})

    def create(kind: str, plural: str, name: str, spec: dict[str, Any]) -> None:
        body = {"apiVersion": "/".join(KUEUE), "kind": kind, "metadata": {"name": name}, "spec": spec}
        if kind == "LocalQueue":
            objects.create_namespaced_custom_object(*KUEUE, NAMESPACE, plural, body)
        else:
            objects.create_cluster_custom_object(*KUEUE, plural, body)

    create("ResourceFlavor", "resourceflavors", "tpu", {})
    flavor = {"name": "tpu", "resources": [{"name": "google.com/tpu", "nominalQuota": CHIPS}]}
    group = {"coveredResources": ["google.com/tpu"], "flavors": [flavor]}
    create("ClusterQueue", "clusterqueues", "tpus", {"namespaceSelector": {}, "resourceGroups": [group]})
    create("LocalQueue", "localqueues", "tpu-queue", {"clusterQueue": "tpus"})

    create("ResourceFlavor", "resourceflavors", "any", {})
    covered = {**CPU_POD, "google.com/tpu": CHIPS}
    flavor = {"name": "any", "resources": [{"name": name, "nominalQuota": size} for name, size in covered.items()]}
    group = {"coveredResources": list(covered), "flavors": [flavor]}
    preemption = {"withinClusterQueue": "LowerPriority"}
    create("ClusterQueue", "clusterqueues", "all", {
        "namespaceSelector": {}, "resourceGroups": [group], "preemption": preemption,
    })  # fmt: skip
    create("LocalQueue", "localqueues", ALL, {"clusterQueue": "all"})
    return NAMESPACE


def queued(name: str) -> dict[str, Any]:
    """A job whose generation takes all chips of the queue, and its training too."""
    made = named(manifest(queue={"name": "tpu-queue"}, generation={"accelerator": V5E, "maxModelLen": 4096}), name)
    made["spec"]["training"] = {
        "accelerator": V4,
        "stages": [{"name": "one", "steps": 10}],
    }
    return made


def stage(jobs: Jobs, name: str, stage_name: str) -> dict[str, Any]:
    stages = (jobs.get(name).get("status") or {}).get("stages") or []
    return next((dict(told) for told in stages if told["name"] == stage_name), {})


def is_queued(jobs: Jobs, name: str, stage_name: str, words: str) -> bool:
    told = stage(jobs, name, stage_name)
    return told.get("state") == "Queued" and words in told.get("message", "")


def set_active(objects: Any, namespace: str, child: str, active: bool) -> None:
    """What ``kueuectl stop workload`` and ``resume`` do."""
    workloads = objects.list_namespaced_custom_object(*KUEUE, namespace, "workloads")["items"]
    [name] = [
        workload["metadata"]["name"]
        for workload in workloads
        if any(owner["name"] == child for owner in workload["metadata"].get("ownerReferences", []))
    ]
    objects.patch_namespaced_custom_object(*KUEUE, namespace, "workloads", name, {"spec": {"active": active}})


def finish_first(pods: Pods) -> None:
    for name in (*FIRST, "preflight"):
        pods.succeed(name)


def test_a_job_waits_for_quota_and_says_why_and_an_eviction_is_no_failure(
    jobs: Jobs, pods: Pods, operator: Operator, objects: Any, namespace: str, testbed: Testbed
) -> None:
    """Cases 12, 13, 16, 26, 29 and 30."""
    jobs.create(queued("first"))
    finish_first(pods)
    [pod] = pods.wait("generate")

    # The quota is used: the second job waits, in Kueue's words.
    jobs.create(queued("second"))
    finish_first(pods)
    eventually("Kueue's reason", lambda: is_queued(jobs, "second", "generate", "insufficient"))
    assert [pod.metadata.name for pod in pods.of_stage("generate")] == [pod.metadata.name]
    for converting in pods.wait("convert-student", 2):
        pods.end(converting)
    eventually("the job is queued", lambda: (jobs.get("second").get("status") or {}).get("phase") == "Queued")

    # Evicted: its pod goes, nothing is counted, the other one's turn has come.
    set_active(objects, namespace, "first-generate-0", False)
    eventually("the first is queued again", lambda: is_queued(jobs, "first", "generate", ""))
    eventually("the second's pod", lambda: [p for p in pods.of_stage("generate") if p.metadata.name[:6] == "second"])
    assert stage(jobs, "first", "generate")["attempts"] == {"failures": 0, "disruptions": 0}
    set_active(objects, namespace, "first-generate-0", True)
    pods.succeed("generate")
    eventually("generated", lambda: stage(jobs, "second", "generate").get("state") == "Complete")

    # The same for a JobSet.
    eventually("the first's turn", lambda: [p for p in pods.of_stage("generate") if p.metadata.name[:5] == "first"])
    pods.succeed("pack-one")
    eventually("training is queued", lambda: is_queued(jobs, "second", "train-one", "insufficient"))
    pods.succeed("generate")
    pods.succeed("pack-one")
    evicted = {pod.metadata.name: pod for pod in pods.wait("train-one", 2)}
    [running] = {name.partition("-train-one-")[0] for name in evicted}
    set_active(objects, namespace, f"{running}-train-one-0", False)
    eventually("queued", lambda: stage(jobs, running, "train-one").get("state") == "Queued")
    eventually("its pods go", lambda: not evicted.keys() & {pod.metadata.name for pod in pods.of_stage("train-one")})
    set_active(objects, namespace, f"{running}-train-one-0", True)
    for _ in ("first", "second"):
        pods.succeed("train-one", 2)
    for name in ("export", "evaluate"):
        for pod in pods.wait(name, 2):
            pods.end(pod)
    for name in ("first", "second"):
        eventually("Complete", lambda name=name: (jobs.get(name).get("status") or {}).get("phase") == "Complete")  # type: ignore[misc]
        attempts = [told["attempts"] for told in jobs.get(name)["status"]["stages"]]
        assert all(counted == {"failures": 0, "disruptions": 0} for counted in attempts)

    # What Kueue owns was never sent again: a child is created and deleted, nothing else.
    verbs = {
        event["verb"]
        for event in events(testbed.audit_log)
        if event.get("objectRef", {}).get("resource") in ("jobs", "jobsets")
        and event.get("userAgent", "").startswith("distillation-operator/")
    }
    assert verbs <= {"create", "get", "list", "watch", "delete"}


def on_cpu(name: str, **queue: Any) -> dict[str, Any]:
    """A job all of whose stages are queued, each with one pod of CPU."""
    made = named(manifest(queue={"name": ALL, "cpuStages": True, **queue}), name)
    made["spec"]["conversion"] = {"resources": CPU_POD}
    return made


def make_priority_class(objects: Any, name: str, value: int) -> None:
    body = {"apiVersion": "/".join(KUEUE), "kind": "WorkloadPriorityClass", "metadata": {"name": name}, "value": value}
    objects.create_cluster_custom_object(*KUEUE, "workloadpriorityclasses", body)


def states(jobs: Jobs, name: str) -> dict[str, list[str]]:
    """The stages that are first, by their state."""
    found: dict[str, list[str]] = {}
    for one in FIRST:
        found.setdefault(stage(jobs, name, one).get("state", ""), []).append(one)
    return found


def test_stages_of_cpu_wait_in_the_queue_and_give_way_to_an_urgent_job(
    jobs: Jobs, pods: Pods, operator: Operator, objects: Any, namespace: str
) -> None:
    """Case 12: of three stages that could begin one has quota; a class with a higher value takes it."""
    jobs.create(on_cpu("patient"))
    eventually("two wait", lambda: len(states(jobs, "patient").get("Queued", ())) == 2)

    def with_a_pod() -> list[tuple[str, Any]]:
        return [(one, pod) for one in FIRST for pod in pods.of_stage(one)]

    [(holder, pod)] = eventually("the third one's pod", with_a_pod)
    assert pod.metadata.name.startswith("patient-")
    waiting = next(one for one in FIRST if one != holder)
    eventually("Kueue's reason", lambda: is_queued(jobs, "patient", waiting, "insufficient"))

    make_priority_class(objects, "urgent", 1000)
    jobs.create(on_cpu("hurried", priorityClass="urgent"))

    def taken() -> bool:
        there = [pod.metadata.name for one in FIRST for pod in pods.of_stage(one)]
        return len(there) == 1 and there[0].startswith("hurried-")

    eventually("the urgent one's pod", taken)
    eventually("all of the other wait", lambda: len(states(jobs, "patient").get("Queued", ())) == 3)
    attempts = [told["attempts"] for told in jobs.get("patient")["status"]["stages"] if "attempts" in told]
    assert all(counted == {"failures": 0, "disruptions": 0} for counted in attempts)
    for name in ("hurried", "patient"):
        jobs.delete(name)
    eventually("their pods are gone", lambda: not any(pods.of_stage(one) for one in FIRST))


def test_a_priority_class_that_does_not_exist_is_named_and_can_be_made(
    jobs: Jobs, pods: Pods, operator: Operator, objects: Any, namespace: str
) -> None:
    """Kueue makes no Workload then, and tells nobody but its log."""
    jobs.create(on_cpu("misspelt", priorityClass="urgnt"))
    missing = "no WorkloadPriorityClass 'urgnt'"
    eventually("it is told", lambda: is_queued(jobs, "misspelt", FIRST[0], missing), 40.0)
    assert not any(pods.of_stage(one) for one in FIRST)
    make_priority_class(objects, "urgnt", 1)
    eventually("one goes on", lambda: any(pods.of_stage(one) for one in FIRST), 90.0)
