"""What a real kubelet says of pods that can't start is shown in the status within seconds."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from demo.operator_process import OperatorProcess
from demo.places import NAMESPACE, Place
from e2e.killed_run import CHECKOUT, EXAMPLE
from support.eventually import eventually

SECONDS = 45.0


def manifest(name: str, **spec: Any) -> str:
    """The CPU example under another name, changed."""
    job = yaml.safe_load(EXAMPLE.read_text())
    job["metadata"]["name"] = name
    job["spec"].update(spec)
    return yaml.safe_dump(job)


@pytest.fixture
def operator(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[OperatorProcess]:
    """The operator, with an image that no registry has."""
    monkeypatch.setenv("FETCHER_IMAGE", "registry.invalid/fetcher:1")
    made = OperatorProcess(place.kubeconfig, CHECKOUT / "build" / "e2e" / "operator-pods.log", NAMESPACE)
    made.start()
    yield made
    made.stop()


def told(place: Place, job: str, stage: str, reasons: tuple[str, ...], words: str) -> str:
    """A stage's message, once it has one of the reasons and the words: the kubelet may say something else first."""

    def look() -> str | None:
        found = place.kubectl.get("distillationjob", job) or {}
        for seen in (found.get("status") or {}).get("stages") or []:
            if seen["name"] == stage and seen.get("reason") in reasons and words in seen["message"]:
                return str(seen["message"])
        return None

    try:
        return eventually(f"{stage} tells {words!r}", look, SECONDS)
    finally:
        place.kubectl("delete", "distillationjob", job)


def test_an_image_that_cannot_be_pulled(place: Place, operator: OperatorProcess) -> None:
    place.kubectl("apply", "-f", "-", stdin=manifest("no-image"))
    assert told(place, "no-image", "fetch-teacher", ("ErrImagePull", "ImagePullBackOff"), "registry.invalid/fetcher:1")


def test_a_claim_that_does_not_exist(place: Place, operator: OperatorProcess) -> None:
    storage = {"persistentVolumeClaim": {"claimName": "nowhere"}}
    place.kubectl("apply", "-f", "-", stdin=manifest("no-claim", storage=storage))
    assert told(place, "no-claim", "fetch-teacher", ("Unschedulable",), 'persistentvolumeclaim "nowhere" not found')


def test_a_bucket_on_nodes_without_its_driver(place: Place, operator: OperatorProcess) -> None:
    """U25: the kubelet tells it in an Event alone."""
    place.kubectl("apply", "-f", "-", stdin=manifest("no-driver", storage={"gcs": {"bucket": "some-bucket"}}))
    assert told(place, "no-driver", "fetch-teacher", ("FailedMount",), "gcsfuse.csi.storage.gke.io")


def test_a_pod_larger_than_the_node(place: Place, operator: OperatorProcess) -> None:
    large = {"resources": {"cpu": "900", "memory": "1Gi"}}
    place.kubectl("apply", "-f", "-", stdin=manifest("too-large", conversion=large))
    assert told(place, "too-large", "prepare-dataset", ("Unschedulable",), "Insufficient cpu")


def test_a_secret_that_does_not_exist(place: Place) -> None:
    operator = OperatorProcess(place.kubeconfig, CHECKOUT / "build" / "e2e" / "operator-pods.log", NAMESPACE)
    operator.start()
    try:
        teacher = {"source": {"huggingFace": {"repo": "some/gated-model"}}}
        token = {"secretName": "hf-token", "key": "token"}
        place.kubectl("apply", "-f", "-", stdin=manifest("no-secret", teacher=teacher, huggingFaceToken=token))
        reasons = ("CreateContainerConfigError",)
        assert told(place, "no-secret", "fetch-teacher", reasons, 'secret "hf-token" not found')
    finally:
        operator.stop()
