"""The profiles for older nodes on a real API server: a namespace that refuses one is told with what to do, and the
chart's policies let through what the operator makes.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.security_profiles import Profile
from distillation_operator.manifests.settings import Installation
from distillation_operator.manifests.stage_pods import StagePods
from distillation_operator.pipeline.graph import build_pipeline
from support.cluster import Kubectl
from support.eventually import eventually
from support.helm import BUILT
from support.objects import Jobs
from support.operating import Operator, Pods
from support.scenario import job_of
from support.small_job import FIRST, manifest, stage
from testbed.cluster import Testbed
from testbed.helm import CHART, helm

pytestmark = pytest.mark.timeout(300)
SECONDS = 10.0
V5E = {"type": "tpu-v5-lite-podslice", "topology": "2x4"}
ON_CHIPS: dict[str, Any] = {"generation": {"shards": 1, "accelerator": V5E}}
OLDER: list[Profile] = ["LockedMemory", "Privileged"]


@pytest.fixture(params=OLDER)
def profile(request: pytest.FixtureRequest) -> Profile:
    """One of them."""
    found: Profile = request.param
    return found


@pytest.fixture
def installed(testbed: Testbed, namespace: str, tmp_path: Path, profile: Profile) -> Iterator[Operator]:
    """The operator of an installation with that profile, running."""
    value = json.dumps({"acceleratorProfile": profile})
    made = Operator(testbed.kubeconfig, namespace, tmp_path / "operator.log", "--stage-pods", value)
    made.start()
    yield made
    made.end()


def test_a_namespace_that_refuses_the_profile_is_told_and_the_job_goes_on_when_it_takes_it(
    jobs: Jobs, pods: Pods, installed: Operator, kubectl: Kubectl, namespace: str, profile: Profile
) -> None:
    jobs.create(manifest(**ON_CHIPS))
    for name in (*FIRST, "preflight"):
        pods.succeed(name)

    def advice() -> str | None:
        told = stage(jobs, "generate")
        return str(told["message"]) if told.get("reason") == "PodsRefused" else None

    eventually("generate is begun", lambda: stage(jobs, "generate").get("state") == "Pending", 30.0)
    told = eventually("the namespace's level is told", advice, SECONDS)
    assert told.startswith(f"namespace {namespace} has the Pod Security level restricted")
    assert f"stagePods.acceleratorProfile={profile}" in told
    assert "label the namespace pod-security.kubernetes.io/enforce=privileged" in told
    kubectl("label", "--overwrite", "namespace", namespace, "pod-security.kubernetes.io/enforce=privileged")
    pods.wait("generate")


ACCOUNT = "distillation-distillation-operator"


@pytest.fixture
def policies(kubectl: Kubectl, namespace: str, tmp_path: Path, profile: Profile) -> Iterator[None]:
    """The chart's admission policies for that profile, about an account in the namespace."""
    images = [f"--set=stageImages.{one}={getattr(Installation(), f'{one}_image')}" for one in ("fetcher", "converter")]
    images += [f"--set=stageImages.{one}={getattr(Installation(), f'{one}_image')}" for one in ("teacher", "trainer")]
    done = helm(
        "template", "distillation", str(CHART), "--kube-version", "1.34.4", "--namespace", namespace, *BUILT, *images,
        f"--set=stagePods.acceleratorProfile={profile}", "--show-only", "templates/admission.yaml",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    file = tmp_path / "policies.yaml"
    file.write_text(done.stdout)
    kubectl("apply", "-f", str(file))
    yield
    kubectl("delete", "-f", str(file))


def test_the_charts_policies_let_through_what_the_operator_makes_and_no_more(
    policies: None, api_client: client.ApiClient, namespace: str, profile: Profile, kubectl: Kubectl, tmp_path: Path
) -> None:
    spec = manifest(**ON_CHIPS, training={"accelerator": V5E, "stages": [{"name": "one", "steps": 1}]})["spec"]
    job = job_of(spec, namespace=namespace)
    installation = Installation(stage_pods=StagePods(accelerator_profile=profile))
    made = [child_manifest(job, one, 0, installation) for one in build_pipeline(job.spec).values()]
    account = f"--serviceaccount={namespace}:{ACCOUNT}"
    jobsets = ("--verb=create", "--resource=jobsets.jobset.x-k8s.io")
    for words in (
        ("serviceaccount", ACCOUNT),
        ("rolebinding", "admin", "--clusterrole=admin", account),
        ("role", "jobsets", *jobsets),
        ("rolebinding", "jobsets", "--role=jobsets", account),
    ):
        kubectl("create", *words, "--namespace", namespace)

    def answer(child: dict[str, Any]) -> str:
        file = tmp_path / "child.yaml"
        file.write_text(yaml.safe_dump(child))
        as_operator = f"--as=system:serviceaccount:{namespace}:{ACCOUNT}"
        try:
            return kubectl("create", "--dry-run=server", as_operator, "-f", str(file))
        except AssertionError as error:
            return str(error)

    spoilt = [child for child in map(copy.deepcopy, made) if child["metadata"]["name"].endswith("evaluate-0")]
    [evaluate] = spoilt
    container = evaluate["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"] = {"privileged": True}
    eventually("the policies are in force", lambda: "no privileges" in answer(evaluate), 30.0)
    for child in made:
        assert "created (server dry run)" in answer(child)
