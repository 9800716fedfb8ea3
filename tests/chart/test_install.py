"""Installed by the last release's chart, upgraded, rolled back and uninstalled, with a job that lives on."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distillation_api.schemas.crd import custom_resource_definition
from support.cluster import Kubectl
from support.eventually import eventually
from support.helm import Helm
from testbed.cluster import Testbed
from testbed.helm import CHART, IMAGES

RELEASE = "distillation-operator"
NAMESPACE = "distillation-system"
JOB = "waits"
MANIFEST = """
apiVersion: distillation.dev/v1alpha1
kind: DistillationJob
metadata: {name: waits, namespace: ml}
spec:
  teacher: {source: {path: models/t}}
  student: {source: {path: models/s}, maxTextModel: llama3.1-8b}
  dataset: {source: {path: d.jsonl}, messagesColumn: messages}
  storage: {persistentVolumeClaim: {claimName: not-there-yet}}
  training: {stages: [{name: one, steps: 1}]}
"""

pytestmark = pytest.mark.timeout(600)
Release = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def release(helm: Helm, testbed: Testbed) -> Release:
    """One command of Helm's about the release; fails the test when it fails."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = helm("--namespace", NAMESPACE, *arguments, kubeconfig=testbed.kubeconfig)
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}"
        return done

    return run


@pytest.fixture(scope="module")
def installed(
    release: Release, released: Path, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The release, upgraded from the chart that was released last, with a job from before; its child's uid.

    The operator is today's from the start, and not ready as long as the CRD is that of then.
    """
    kubectl("create", "namespace", "ml")
    kubectl("create", "namespace", NAMESPACE)
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    release("install", RELEASE, str(released), *IMAGES)
    kubectl("wait", "--for=condition=Established", "crd/distillationjobs.distillation.dev", "--timeout=60s")
    manifest = tmp_path_factory.mktemp("job") / "job.yaml"
    manifest.write_text(MANIFEST)
    kubectl("apply", "-f", str(manifest))
    # Of the values of before alone: what is new in the chart has none then.
    release("upgrade", RELEASE, str(CHART), "--reuse-values", "--wait", "--timeout", "240s")
    yield eventually("its first child", lambda: child_of(kubectl))
    kubectl("delete", "namespace", "ml", "--wait=false")


def child_of(kubectl: Kubectl) -> str | None:
    listed = json.loads(kubectl("get", "jobs", "-n", "ml", "-o", "json"))["items"]
    uids = [job["metadata"]["uid"] for job in listed if job["metadata"]["name"] == f"{JOB}-fetch-teacher-0"]
    return uids[0] if uids else None


def job(kubectl: Kubectl) -> dict[str, Any]:
    return dict(json.loads(kubectl("get", "dj", JOB, "-n", "ml", "-o", "json")))


def leads(kubectl: Kubectl) -> bool:
    """Whether a pod that is there holds the Lease."""
    holder = kubectl("get", "lease", RELEASE, "-n", NAMESPACE, "-o", "jsonpath={.spec.holderIdentity}")
    listed = json.loads(kubectl("get", "pods", "-n", NAMESPACE, "-o", "json"))["items"]
    living = [pod["metadata"]["name"] for pod in listed if "deletionTimestamp" not in pod["metadata"]]
    return any(holder.startswith(name) for name in living)


def test_installed_it_works_and_helm_test_says_so(
    installed: str, release: Release, kubectl: Kubectl, tmp_path: Path
) -> None:
    # The status is written after the first children are created.
    eventually("the job waits", lambda: job(kubectl).get("status", {}).get("phase") == "Pending")
    assert "Phase:          Succeeded" in release("test", RELEASE, "--timeout", "120s").stdout
    # Another job: of the first one the operator may have written its Event with the rights of the chart of then.
    manifest = tmp_path / "job.yaml"
    manifest.write_text(
        MANIFEST.replace("{name: waits,", "{name: waits-too,").replace("not-there-yet", "not-there-either")
    )
    kubectl("apply", "-f", str(manifest))
    selector = "reason=Unschedulable,involvedObject.name=waits-too"
    eventually(
        "an Event says why the job waits",
        lambda: kubectl("get", "events", "-n", "ml", "--field-selector", selector, "-o", "name"),
    )
    kubectl("delete", "-f", str(manifest))


def test_an_upgrade_brings_the_new_crd_and_takes_up_a_job_of_before(installed: str, kubectl: Kubectl) -> None:
    [wanted] = custom_resource_definition()["spec"]["versions"]
    stored = json.loads(kubectl("get", "crd", "distillationjobs.distillation.dev", "-o", "json"))
    [there] = stored["spec"]["versions"]
    assert there["additionalPrinterColumns"] == wanted["additionalPrinterColumns"]
    assert there["schema"] == wanted["schema"]
    eventually("a pod acts", lambda: leads(kubectl))
    kubectl("patch", "dj", JOB, "-n", "ml", "--type=merge", "--patch", '{"spec": {"ttlSecondsAfterFinished": 3600}}')
    status = eventually("it has looked at the job", lambda: looked_at(kubectl))
    assert child_of(kubectl) == installed
    assert "StatusUnreadable" not in {condition["reason"] for condition in status["conditions"]}


def looked_at(kubectl: Kubectl) -> dict[str, Any] | None:
    """The job's status, once it is about the newest spec."""
    read = job(kubectl)
    status: dict[str, Any] = read.get("status", {})
    return status if status.get("observedGeneration") == read["metadata"]["generation"] else None


def test_with_the_operators_token_no_other_pod_is_made(
    installed: str, release: Release, kubectl: Kubectl, tmp_path: Path
) -> None:
    """By the API server itself, also for who has stolen the token; its own next child is let through."""
    release("upgrade", RELEASE, str(CHART), *IMAGES, "--wait", "--timeout", "120s")
    wanted = json.loads(kubectl("get", "job", f"{JOB}-fetch-teacher-0", "-n", "ml", "-o", "json"))
    made: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**{key: wanted["metadata"][key] for key in ("labels", "ownerReferences")}, "namespace": "ml"},
        "spec": {"template": {"spec": wanted["spec"]["template"]["spec"]}},
    }
    account = f"--as=system:serviceaccount:{NAMESPACE}:{RELEASE}"
    made["metadata"]["name"] = "as-a-stage"
    (tmp_path / "job.json").write_text(json.dumps(made))
    kubectl("create", "--dry-run=server", "-f", str(tmp_path / "job.json"), account)
    made["spec"]["template"]["spec"]["hostNetwork"] = True
    (tmp_path / "job.json").write_text(json.dumps(made))
    # The API server takes a moment to learn of a policy.
    eventually("it is refused", lambda: refused(kubectl, str(tmp_path / "job.json"), account))


def refused(kubectl: Kubectl, file: str, account: str) -> bool:
    try:
        kubectl("create", "--dry-run=server", "-f", file, account)
    except AssertionError as error:
        assert "pods of stages use no namespace of their host" in str(error)
        return True
    return False


def test_an_upgrade_a_rollback_and_another_replica_leave_the_job_alone(
    installed: str, release: Release, kubectl: Kubectl
) -> None:
    before = job(kubectl)
    for command in (
        ("upgrade", RELEASE, str(CHART), *IMAGES, "--set", "replicas=2", "--wait", "--timeout", "120s"),
        ("rollback", RELEASE, "2", "--wait", "--timeout", "120s"),
        ("upgrade", RELEASE, str(CHART), *IMAGES, "--wait", "--timeout", "120s"),
    ):
        release(*command)
        eventually("one of the pods acts", lambda: leads(kubectl))
        assert child_of(kubectl) == installed
        assert job(kubectl)["metadata"]["uid"] == before["metadata"]["uid"]
    assert [told["name"] for told in job(kubectl)["status"]["stages"]] == [
        told["name"] for told in before["status"]["stages"]
    ]
    assert job(kubectl)["spec"] == before["spec"]


def test_uninstalled_the_job_stays_and_can_be_deleted(installed: str, release: Release, kubectl: Kubectl) -> None:
    release("uninstall", RELEASE, "--wait")
    assert job(kubectl)["metadata"]["name"] == JOB
    assert "customresourcedefinition" in kubectl("get", "crd", "distillationjobs.distillation.dev", "-o", "name")
    kubectl("delete", "dj", JOB, "-n", "ml", "--timeout=30s")
    eventually("its children are gone", lambda: child_of(kubectl) is None)
    left = kubectl("get", "clusterrole,clusterrolebinding", "-o", "name")
    assert RELEASE not in left
