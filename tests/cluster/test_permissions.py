"""The operator with exactly the permissions that the chart gives it: none is missing, and none is too much."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from support.audit import events
from support.eventually import eventually
from support.objects import CHECKOUT, Jobs
from support.operating import Operator, Pods
from support.small_job import NAME, finish_first, finish_generation, manifest, named
from testbed.cluster import Testbed

RULES = CHECKOUT / "charts" / "distillation-operator" / "rules"
ACCOUNT = "operator"

pytestmark = pytest.mark.timeout(300)

Permission = tuple[str, str, str]
"""API group, resource and verb."""


def rules(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load((RULES / f"{name}.yaml").read_text()))


def granted(*names: str) -> set[Permission]:
    return {
        (group, resource, verb)
        for name in names
        for rule in rules(name)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def grant(api_client: client.ApiClient, namespace: str, names: tuple[str, ...], clusterwide: tuple[str, ...]) -> None:
    """The account with a Role of these rules in its namespace, and a ClusterRole of those."""
    rbac: Any = client.RbacAuthorizationV1Api(api_client)
    core: Any = client.CoreV1Api(api_client)
    core.create_namespaced_service_account(namespace, {"metadata": {"name": ACCOUNT}})
    subjects = [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}]

    def bind(kind: str) -> dict[str, Any]:
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": namespace}
        return {"metadata": {"name": namespace}, "roleRef": reference, "subjects": subjects}

    role = {"metadata": {"name": namespace}, "rules": [rule for name in names for rule in rules(name)]}
    rbac.create_namespaced_role(namespace, role)
    rbac.create_namespaced_role_binding(namespace, bind("Role"))
    if clusterwide:
        cluster = {"metadata": {"name": namespace}, "rules": [rule for name in clusterwide for rule in rules(name)]}
        rbac.create_cluster_role(cluster)
        rbac.create_cluster_role_binding(bind("ClusterRole"))


def kubeconfig_of(api_client: client.ApiClient, testbed: Testbed, namespace: str, folder: Path) -> Path:
    """The testbed's, with the account's token."""
    core: Any = client.CoreV1Api(api_client)
    request = {"spec": {"expirationSeconds": 3600}}
    token = core.create_namespaced_service_account_token(ACCOUNT, namespace, request).status.token
    written = yaml.safe_load(testbed.kubeconfig.read_text())
    for user in written["users"]:
        user["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(written))
    return path


@pytest.fixture
def start(
    api_client: client.ApiClient, testbed: Testbed, namespace: str, tmp_path: Path
) -> Iterator[Callable[..., Operator]]:
    """Starts the operator as an account with the named rules."""
    started: list[Operator] = []

    def made(*names: str, clusterwide: tuple[str, ...] = ()) -> Operator:
        grant(api_client, namespace, names, clusterwide)
        kubeconfig = kubeconfig_of(api_client, testbed, namespace, tmp_path)
        arguments = ("--lease", f"{namespace}/operator") if "lease" in names else ()
        where = None if clusterwide else namespace
        started.append(Operator(kubeconfig, where, tmp_path / "operator.log", *arguments, replica=namespace))
        started[-1].start()
        return started[-1]

    yield made
    for operator in started:
        if operator.exit_code() is None:
            operator.end()
    rbac = client.RbacAuthorizationV1Api(api_client)
    for delete in (rbac.delete_cluster_role, rbac.delete_cluster_role_binding):
        try:
            delete(namespace)
        except client.ApiException as error:
            assert error.status == 404


@pytest.fixture
def kueue(api_client: client.ApiClient, namespace: str) -> Iterator[None]:
    """Kueue's kind, with no controller behind it: where it isn't served nobody asks for Workloads."""
    extensions: Any = client.ApiextensionsV1Api(api_client)
    objects: Any = client.CustomObjectsApi(api_client)
    name, group = "workloads.kueue.x-k8s.io", "kueue.x-k8s.io"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1beta2", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "workloads", "singular": "workload", "kind": "Workload", "listKind": "WorkloadList"}
    extensions.create_custom_resource_definition(
        {
            # The group is one of Kubernetes' own, whose kinds are to name who has approved them.
            "metadata": {"name": name, "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
            "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
        }
    )

    def is_served() -> bool:
        try:
            objects.list_namespaced_custom_object(group, "v1beta2", namespace, "workloads")
        except client.ApiException as error:
            assert error.status == 404
            return False
        return True

    eventually("Workloads are served", is_served)
    yield
    extensions.delete_custom_resource_definition(name)


def asked(testbed: Testbed, namespace: str) -> tuple[set[Permission], list[str]]:
    """What the account has done, and what it was forbidden."""
    done, forbidden = set(), []
    for event in events(testbed.audit_log):
        if event["user"].get("username") != f"system:serviceaccount:{namespace}:{ACCOUNT}":
            continue
        reference = event.get("objectRef")
        # In the whole cluster it also sees what other tests have left, in namespaces that are going.
        if reference is None or reference.get("namespace", namespace) != namespace:
            continue
        resource = "/".join(part for part in (reference["resource"], reference.get("subresource")) if part)
        # A watch that hasn't ended has no status yet.
        code = event.get("responseStatus", {}).get("code", 200)
        if code == 403:
            forbidden.append(f"{event['verb']} {resource}")
        else:
            done.add((reference.get("apiGroup", ""), resource, event["verb"]))
    return done, forbidden


def live_a_whole_life(jobs: Jobs, pods: Pods, api_client: client.ApiClient, namespace: str, testbed: Testbed) -> None:
    """Every kind of call that the operator makes: to the end; a name that is taken; suspended; running."""
    batch: Any = client.BatchV1Api(api_client)
    objects = client.CustomObjectsApi(api_client)
    other = {
        "metadata": {"name": "taken-fetch-teacher-0"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
    }
    batch.create_namespaced_job(namespace, other)
    jobset = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": f"{NAME}-train-one-0"},
        "spec": {"replicatedJobs": [{"name": "r", "template": {"spec": other["spec"]}}]},
    }
    objects.create_namespaced_custom_object("jobset.x-k8s.io", "v1alpha2", namespace, "jobsets", jobset)
    jobs.create(named(manifest(), "taken"))
    eventually("taken", lambda: reason_of(jobs, "taken", "fetch-teacher") == "NameTaken")
    jobs.patch("taken", {"suspend": True})
    eventually("no pod", lambda: not pods.of_stage("fetch-student") and not pods.of_stage("prepare-dataset"))
    jobs.create(manifest())
    finish_first(pods)
    pods.run("generate", 2)
    live_in_a_queue(jobs, pods, testbed, namespace)
    eventually("a look at a log", lambda: ("", "pods/log", "get") in asked(testbed, namespace)[0])
    finish_generation(pods)
    pods.succeed("convert-student")
    eventually("taken", lambda: reason_of(jobs, NAME, "train-one") == "NameTaken")
    objects.delete_namespaced_custom_object(
        "jobset.x-k8s.io",
        "v1alpha2",
        namespace,
        "jobsets",
        jobset["metadata"]["name"],  # type: ignore[index]
    )
    pods.wait("train-one", 2)
    jobs.patch(NAME, {"suspend": True})
    eventually("no pod", lambda: not pods.of_stage("train-one"))


def live_in_a_queue(jobs: Jobs, pods: Pods, testbed: Testbed, namespace: str) -> None:
    """A job whose generation Kueue would hold, and one whose pods are refused."""
    accelerator = {"type": "tpu-v5-lite-podslice", "topology": "2x4", "chipsPerHost": 8}
    jobs.create(named(manifest(queue={"name": "queue"}, generation={"accelerator": accelerator}), "queued"))
    finish_first(pods)
    jobs.create(named(manifest(pod={"serviceAccountName": "absent"}), "refused"))
    eventually("refused", lambda: reason_of(jobs, "refused", "fetch-teacher") == "PodsRefused")
    eventually("queued", lambda: reason_of(jobs, "queued", "generate") == "WaitsForQuota")
    eventually("Kueue was asked", lambda: ("kueue.x-k8s.io", "workloads", "list") in asked(testbed, namespace)[0])
    for name in ("queued", "refused"):
        jobs.patch(name, {"suspend": True})


def live_on_a_node_with_chips(jobs: Jobs, pods: Pods, namespace: str, testbed: Testbed) -> None:
    """A job whose pods with chips run, on a node that is gone."""
    accelerator = {"type": "tpu-v5-lite-podslice", "topology": "2x4", "chipsPerHost": 8}
    jobs.create(named(manifest(generation={"accelerator": accelerator}), "chips"))
    finish_first(pods)
    (pod,) = pods.wait("generate")
    pods.bind(pod, "gone")
    pods.run("generate")
    eventually("a look at a node", lambda: ("", "nodes", "get") in asked(testbed, namespace)[0])


def reason_of(jobs: Jobs, name: str, stage: str) -> str | None:
    stages = (jobs.get(name).get("status") or {}).get("stages") or []
    return next((told.get("reason") for told in stages if told["name"] == stage), None)


def test_a_whole_life_needs_all_the_permissions_and_no_other(
    kueue: None,
    start: Callable[..., Operator],
    jobs: Jobs,
    pods: Pods,
    api_client: client.ApiClient,
    namespace: str,
    testbed: Testbed,
) -> None:
    operator = start("lease", clusterwide=("cluster", "jobs", "nodes"))
    live_a_whole_life(jobs, pods, api_client, namespace, testbed)
    live_on_a_node_with_chips(jobs, pods, namespace, testbed)
    done, forbidden = asked(testbed, namespace)
    assert not forbidden
    done -= {("authorization.k8s.io", "selfsubjectaccessreviews", "create")}  # everybody may ask what they may do
    expected = granted("jobs", "cluster", "nodes")
    # The testbed runs no pod whose log could be read: asked for it is all the same, and leases are not audited.
    assert done - expected == set()
    assert expected - done == set()
    assert operator.exit_code() is None


def test_in_its_namespace_alone_it_needs_no_cluster_role(
    start: Callable[..., Operator], jobs: Jobs, pods: Pods, namespace: str, testbed: Testbed
) -> None:
    operator = start("jobs")
    jobs.create(manifest())
    pods.wait("fetch-teacher")
    for name in ("fetch-teacher", "fetch-student", "prepare-dataset", "preflight"):
        pods.succeed(name)
    pods.wait("generate", 2)
    # kopf would ask for what it may not again and again, for nearly a minute, before it begins.
    assert "Forbidden" not in operator.text()
