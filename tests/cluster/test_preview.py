"""A preview on a real API server: it stops with nothing running, and goes on at the word that a GitOps tool applies."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from support.cluster import Kubectl
from support.eventually import eventually
from support.objects import Jobs, refusal
from support.operating import Operator, Pods
from support.small_job import FIRST, NAME, condition, manifest, stage, wait_state

pytestmark = pytest.mark.timeout(300)

MEASURED = {"measured.units": 5, "measured.unitSeconds": 0.5, "measured.lockedMemory": -1, "measured.uid": 1000}


def finish_preview(pods: Pods) -> None:
    """End what the preview shares with the real work, then its own stages."""
    for name in (*FIRST, "convert-student"):
        pods.succeed(name, counts={"train": 100, "holdout": 10} if name == "prepare-dataset" else {})
    pods.succeed("preflight")
    counts = {"read": 20, "kept": 19, "train": 15, "holdout": 4}
    pods.succeed("preview-generate", counts=counts, metrics={**MEASURED, "tokensPerSecond": 80.5}, seconds=20)
    for name, hosts in (("one", 2), ("two", 1)):
        pods.succeed(f"preview-pack-{name}")
        pods.succeed(f"preview-train-{name}", hosts, metrics={**MEASURED, "measured.devices": hosts}, seconds=15)
    pods.succeed("preview-export", seconds=5)
    pods.succeed("preview-evaluate", metrics=MEASURED, seconds=10)


def living(api_client: client.ApiClient, namespace: str) -> list[str]:
    core: Any = client.CoreV1Api(api_client)
    listed = core.list_namespaced_pod(namespace).items
    return [pod.metadata.name for pod in listed if pod.status.phase in ("Pending", "Running")]


def test_it_stops_and_goes_on_at_the_word_that_is_applied(
    pods: Pods,
    operator: Operator,
    kubectl: Kubectl,
    jobs: Jobs,
    api_client: client.ApiClient,
    namespace: str,
    tmp_path: Path,
) -> None:
    def apply(preview: dict[str, Any]) -> None:
        """As Argo CD does."""
        file = tmp_path / "job.yaml"
        file.write_text(yaml.safe_dump(manifest(preview=preview)))
        kubectl("apply", "--server-side", "--field-manager=argocd-controller", "-n", namespace, "-f", str(file))

    apply({})
    finish_preview(pods)
    eventually("previewed", lambda: condition(jobs, "Previewed").get("status") == "True")
    status = jobs.get(NAME)["status"]
    assert status["phase"] == "Suspended"
    assert condition(jobs, "Suspended")["reason"] == "PreviewDone"
    found = status["preview"]
    assert (found["acceptedShare"], found["teacherTokensPerSecond"]) == ("0.95", "80.5")
    assert found["estimatedSeconds"] > 0
    assert {(fact["stage"], fact["name"], fact["value"]) for fact in found["facts"]} >= {
        ("preview-generate", "lockedMemory", "unlimited"),
        ("preview-train-one", "devices", "2 of 2"),
    }
    assert stage(jobs, "generate")["reason"] == "PreviewHolds"
    assert living(api_client, namespace) == []
    apply({"then": "Continue"})
    pods.wait("generate", 2)
    eventually("shown as running", lambda: condition(jobs, "Suspended")["status"] == "False")
    assert jobs.get(NAME)["status"]["preview"] == found


def test_its_size_is_fixed_and_it_may_be_removed_while_it_runs(jobs: Jobs, pods: Pods, operator: Operator) -> None:
    jobs.create(manifest(preview={"rows": 8}))
    for change in ({"rows": 9}, {"steps": 6}):
        with pytest.raises(client.ApiException) as caught:
            jobs.patch(NAME, {"preview": change})
        assert "rows and steps can't be changed: remove preview" in refusal(caught.value)
    for name in (*FIRST, "preflight"):
        pods.succeed(name)
    pods.run("preview-generate")
    jobs.patch(NAME, {"preview": None})
    pods.wait("generate", 2)
    wait_state(jobs, "preview-generate", "Waiting", "PreviewRemoved")
    eventually("stopped", lambda: not pods.of_stage("preview-generate"))
