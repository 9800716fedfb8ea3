"""What Argo CD sees: each example, applied either way and brought to its end, never differs from its file."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from support.cluster import Kubectl
from support.eventually import eventually
from support.objects import CHECKOUT
from support.operating import Operator, Pods
from testbed.cluster import Testbed

EXAMPLES = sorted((CHECKOUT / "examples").glob("*.yaml"))
TRACKING = "argocd.argoproj.io/tracking-id"
INSTANCE = "app.kubernetes.io/instance"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def manifests(namespace: str, tmp_path: Path) -> Path:
    """The examples in the test's namespace, with Argo CD's marks."""
    folder = tmp_path / "jobs"
    folder.mkdir()
    for example in EXAMPLES:
        made = yaml.safe_load(example.read_text())
        name = made["metadata"]["name"]
        made["metadata"] |= {
            "namespace": namespace,
            "annotations": {TRACKING: f"jobs:distillation.dev/DistillationJob:{namespace}/{name}"},
            "labels": {INSTANCE: "jobs"},
        }
        (folder / example.name).write_text(yaml.safe_dump(made, sort_keys=False))
    return folder


def difference(testbed: Testbed, folder: Path, *options: str) -> str:
    """What ``kubectl diff`` prints; it reads an object twice, and a status that was written in between isn't meant."""
    for _ in range(5):
        printed = difference_now(testbed, folder, *options)
        if not printed:
            break
    return printed


def difference_now(testbed: Testbed, folder: Path, *options: str) -> str:
    command = [str(testbed.kubectl), "--kubeconfig", str(testbed.kubeconfig), "diff", *options, "-f", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ})
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.mark.parametrize("options", [("--server-side",), ()], ids=["server-side apply", "client-side apply"])
def test_nothing_differs_from_git_at_any_moment(
    options: tuple[str, ...],
    manifests: Path,
    operator: Operator,
    kubectl: Kubectl,
    testbed: Testbed,
    api_client: client.ApiClient,
    namespace: str,
) -> None:
    """Cases 44, 46 and 48."""
    objects: Any = client.CustomObjectsApi(api_client)
    batch: Any = client.BatchV1Api(api_client)
    core: Any = client.CoreV1Api(api_client)
    pods = Pods(api_client, namespace)
    core.create_namespaced_service_account(namespace, {"metadata": {"name": "distill"}})
    priorities: Any = client.SchedulingV1Api(api_client)
    if "batch" not in [priority.metadata.name for priority in priorities.list_priority_class().items]:
        priorities.create_priority_class({"metadata": {"name": "batch"}, "value": 1000})
    kubectl("apply", *options, "-f", str(manifests))

    def admit() -> None:
        """What Kueue does when there is quota."""
        for job in batch.list_namespaced_job(namespace).items:
            if job.spec.suspend and job.metadata.owner_references[0].kind != "JobSet":
                batch.patch_namespaced_job(job.metadata.name, namespace, {"spec": {"suspend": False}})
        jobsets = ("jobset.x-k8s.io", "v1alpha2", namespace, "jobsets")
        for jobset in objects.list_namespaced_custom_object(*jobsets)["items"]:
            if jobset["spec"].get("suspend"):
                body = {"spec": {"suspend": False}}
                objects.patch_namespaced_custom_object(*jobsets, jobset["metadata"]["name"], body)

    def phases() -> set[str | None]:
        listed = objects.list_namespaced_custom_object("distillation.dev", "v1alpha1", namespace, "distillationjobs")
        return {(job.get("status") or {}).get("phase") for job in listed["items"]}

    def all_complete() -> bool:
        admit()
        for pod in core.list_namespaced_pod(namespace, field_selector="status.phase=Pending").items:
            if not pod.metadata.deletion_timestamp:
                pods.end(pod)
        assert difference(testbed, manifests, *options) == ""
        return phases() == {"Complete"}

    eventually("all are complete", all_complete, seconds=300, pause=0.5)
    assert difference(testbed, manifests, *options) == ""

    # Nothing of ours is taken for Argo CD's own.
    children = [*batch.list_namespaced_job(namespace).items, *core.list_namespaced_pod(namespace).items]
    assert len(children) > 50
    for child in children:
        assert TRACKING not in (child.metadata.annotations or {})
        assert INSTANCE not in (child.metadata.labels or {})

    # A sync of what has ended runs nothing again.
    names = {child.metadata.name for child in children}
    kubectl("apply", *options, "-f", str(manifests))
    listed = {job.metadata.name for job in batch.list_namespaced_job(namespace).items}
    assert listed <= names
    assert phases() == {"Complete"}
