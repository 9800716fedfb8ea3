"""A control plane for the tests: real etcd, API server and controllers, with the CRD applied; pods never run.

It goes down at the end of the session. ``DISTILLATION_TESTBED=NAME`` uses a testbed of that name and leaves it up: that
saves the ten seconds of its start while one works on the tests. ``SESSION`` tells apart sessions that run side by side.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kubernetes import client, config

from support.cluster import Kubectl, apply_crd, run_kubectl
from support.eventually import eventually
from support.objects import Jobs
from support.operating import Operator, Pods
from testbed.cluster import Testbed
from testbed.site import Depth


@pytest.fixture(scope="session")
def testbed() -> Iterator[Testbed]:
    """The control plane, with the committed CRD established."""
    kept = os.environ.get("DISTILLATION_TESTBED")
    made = Testbed(kept or f"pytest-{os.environ.get('SESSION', 'cluster')}", Depth.CONTROL_PLANE)
    made.up()
    try:
        apply_crd(made)
        yield made
    finally:
        if kept is None:
            made.down()


@pytest.fixture(scope="session")
def kubectl(testbed: Testbed) -> Kubectl:
    """Runs the testbed's kubectl and returns what it prints; fails the test when kubectl fails."""
    return lambda *arguments: run_kubectl(testbed, *arguments)


@pytest.fixture(scope="session")
def api_client(testbed: Testbed) -> client.ApiClient:
    """The administrator's client."""
    return config.new_client_from_config(str(testbed.kubeconfig))  # type: ignore[no-untyped-call, no-any-return]


@pytest.fixture
def namespace(api_client: client.ApiClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace, which takes no pod that does not pass Pod Security ``restricted``."""
    readable = re.sub(r"[^a-z0-9]+", "-", request.node.originalname.removeprefix("test_").lower()).strip("-")
    name = f"{readable[:40].strip('-')}-{uuid4().hex[:6]}"
    core = client.CoreV1Api(api_client)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name, labels=labels)))
    yield name
    core.delete_namespace(name)


@pytest.fixture
def jobs(api_client: client.ApiClient, namespace: str) -> Jobs:
    """The DistillationJobs of the test's namespace."""
    return Jobs(client.CustomObjectsApi(api_client), namespace)


@pytest.fixture
def pods(api_client: client.ApiClient, namespace: str) -> Pods:
    """The pods of the test's namespace."""
    return Pods(api_client, namespace)


@pytest.fixture
def operator(testbed: Testbed, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    """The operator, running."""
    made = Operator(testbed.kubeconfig, namespace, tmp_path / "operator.log")
    made.start()
    yield made
    made.end()
    errors = [line for line in made.log() if line["level"] == "ERROR" and line["logger"].startswith("distillation")]
    assert not errors, errors


@pytest.fixture
def without_jobset(testbed: Testbed, api_client: client.ApiClient) -> Iterator[Callable[[], None]]:
    """A cluster whose JobSet CRD is gone; what is yielded brings it back."""
    api: Any = client.ApiextensionsV1Api(api_client)
    name = "jobsets.jobset.x-k8s.io"
    objects: Any = client.CustomObjectsApi(api_client)
    kept = objects.get_cluster_custom_object("apiextensions.k8s.io", "v1", "customresourcedefinitions", name)
    body = {**kept, "metadata": {"name": name, "annotations": kept["metadata"].get("annotations", {})}}
    body.pop("status", None)
    api.delete_custom_resource_definition(name)

    def exists() -> bool:
        return any(crd.metadata.name == name for crd in api.list_custom_resource_definition().items)

    eventually("JobSet is gone", lambda: not exists())

    def bring_back() -> None:
        if exists():
            return
        api.create_custom_resource_definition(body)
        eventually(
            "JobSet is back",
            lambda: any(
                c.type == "Established" and c.status == "True"
                for c in api.read_custom_resource_definition(name).status.conditions or []
            ),
        )
        testbed.restart("jobset")

    yield bring_back
    bring_back()


@pytest.fixture(scope="session")
def default_jobs(api_client: client.ApiClient) -> Jobs:
    """The DistillationJobs of namespace default, for tests that create nothing."""
    return Jobs(client.CustomObjectsApi(api_client), "default")
