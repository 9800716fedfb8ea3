"""The cluster of docs/gke.md, made as the page says: what the examples ask for gets a node there, to the end."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from distillation_api.contract import GenerateProgram
from distillation_api.spec import DistillationJobSpec
from distillation_operator.manifests.labels import STAGE_LABEL
from distillation_operator.pipeline.graph import build_pipeline
from support.cluster import cluster_with_kueue, run_kubectl
from support.documented_cluster import documents, node_pool, steps
from support.eventually import eventually
from support.fake_nodes import FakeNodes
from support.objects import CHECKOUT, Jobs
from support.operating import Operator, Pods
from testbed.cluster import Testbed

PAGE = CHECKOUT / "docs" / "gke.md"
NAMESPACE = "ml"
NODES = ("gcloud container clusters create ", "gcloud container node-pools create ")
OF_A_JOB = ("kubectl wait dj ", "kubectl get dj ")
NOT_HERE = ("gcloud storage ", "curl ", "sha256sum ", "helm ", "for ", "do ", "done")
"""Commands of the page that make neither nodes nor objects of the cluster, or what the testbed has already."""

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def testbed() -> Iterator[Testbed]:
    with cluster_with_kueue("pytest-documented") as made:
        yield made


@pytest.fixture(scope="module")
def api_client(testbed: Testbed) -> client.ApiClient:
    return config.new_client_from_config(str(testbed.kubeconfig))  # type: ignore[no-untyped-call, no-any-return]


@pytest.fixture(scope="module")
def nodes(
    testbed: Testbed, api_client: client.ApiClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FakeNodes]:
    """What the page makes, step by step in its order."""
    made, folder = FakeNodes(api_client), tmp_path_factory.mktemp("page")
    with made.renewed():
        for language, text in steps(PAGE):
            if language == "bash":
                _type(testbed, made, folder, text)
            elif any(one["apiVersion"].startswith("kueue.x-k8s.io/") for one in documents(text)):
                file = folder / "manifest.yaml"
                file.write_text(text)
                run_kubectl(testbed, "apply", "-f", str(file))
        yield made


def _type(testbed: Testbed, nodes: FakeNodes, folder: Path, command: str) -> None:
    if command.startswith(NODES):
        nodes.create(node_pool(command).manifests())
    elif command.startswith(OF_A_JOB):
        # For the jobs that come later.
        return
    elif command.startswith("kubectl "):
        (folder / "token").write_text("hf_token")
        run_kubectl(testbed, *shlex.split(command.replace("TOKEN_FILE", str(folder / "token")))[1:])
    else:
        assert command.startswith(NOT_HERE), f"{command}: is it a step of making the cluster?"


@pytest.fixture
def namespace(nodes: FakeNodes) -> str:
    """The page's namespace, after all of its steps."""
    return NAMESPACE


@pytest.mark.parametrize("example", ["deepseek2-16b-to-llama2-7b", "spot-with-kueue"])
def test_every_stage_of_an_example_gets_nodes(
    example: str, jobs: Jobs, pods: Pods, nodes: FakeNodes, operator: Operator, api_client: client.ApiClient
) -> None:
    """All pods of a stage beside each other, on the accelerator that it names, from the first stage to Complete."""
    manifest = yaml.safe_load((CHECKOUT / "examples" / f"{example}.yaml").read_text())
    pipeline = build_pipeline(DistillationJobSpec.model_validate(manifest["spec"]))
    wanted = {stage.name: _pods_of(stage) for stage in pipeline.values()}
    core: Any = client.CoreV1Api(api_client)
    placed: dict[str, set[str]] = {}

    def ended() -> dict[str, Any] | None:
        living = [pod for stage in wanted if stage not in placed for pod in pods.of_stage(stage)]
        by_stage: dict[str, list[Any]] = {}
        for pod in living:
            by_stage.setdefault(pod.metadata.labels[STAGE_LABEL], []).append(pod)
        for stage, there in by_stage.items():
            # All pods of a stage have to find their places beside each other.
            if len(there) == wanted[stage] and all(pod.spec.node_name for pod in there):
                placed[stage] = {pod.spec.node_name for pod in there}
                for pod in there:
                    pods.end(pod)
        status = jobs.get(example).get("status") or {}
        return status if status.get("phase") in ("Complete", "Failed") else None

    jobs.create(manifest)
    try:
        status = eventually("its end", ended, seconds=150.0)
    except AssertionError as error:
        said = {stage["name"]: stage.get("message") for stage in jobs.get(example)["status"]["stages"]}
        raise AssertionError(f"without a node: {wanted.keys() - placed.keys()}; {said}") from error
    assert status["phase"] == "Complete", status
    assert placed.keys() == wanted.keys()
    for stage in pipeline.values():
        if stage.placement.accelerator is not None:
            right = nodes.names("cloud.google.com/gke-tpu-accelerator", stage.placement.accelerator.type)
            assert placed[stage.name] <= right
            assert len(placed[stage.name]) == wanted[stage.name], "a VM with chips has one pod"
    events = core.list_namespaced_event(NAMESPACE, field_selector="reason=FailedScheduling").items
    assert not [event.message for event in events if event.involved_object.name.startswith(example)]


def _pods_of(stage: Any) -> int:
    return stage.program.shards if isinstance(stage.program, GenerateProgram) else stage.placement.pods
