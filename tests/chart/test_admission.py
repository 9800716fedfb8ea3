"""What the API server lets the operator's account create and delete, by the chart's own expressions."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cel
import pytest
import yaml

from distillation_operator.manifests.security_profiles import container_security
from distillation_operator.manifests.settings import Installation
from support.helm import BUILT, Helm
from testbed.helm import CHART
from testbed.layout import CHECKOUT

GOLDEN = CHECKOUT / "tests" / "unit" / "manifests" / "golden"
OPTIONS = GOLDEN.parent / "golden_options"
ACCOUNT = "system:serviceaccount:system:distillation-distillation-operator"
OF_GOLDEN = [
    f"--set=stageImages.{role}={getattr(Installation(), f'{role}_image')}"
    for role in ("fetcher", "converter", "teacher", "trainer")
]

Object = dict[str, Any]
Pod = Object


PROFILES = ("Restricted", "LockedMemory", "Privileged")


@pytest.fixture(scope="module")
def policies(helm: Helm) -> dict[str, Object]:
    """The policies' specs, by the resource that they are about."""
    return policies_with(helm)


@pytest.fixture(scope="module")
def of_profile(helm: Helm) -> dict[str, dict[str, Object]]:
    """The same of an installation with each profile."""
    return {name: policies_with(helm, f"--set=stagePods.acceleratorProfile={name}") for name in PROFILES}


def policies_with(helm: Helm, *values: str) -> dict[str, Object]:
    command = ("template", "distillation", str(CHART), "--kube-version", "1.34.4", "--namespace", "system", *BUILT)
    done = helm(*command, *OF_GOLDEN, *values)
    assert done.returncode == 0, done.stderr
    made = [thing for thing in yaml.safe_load_all(done.stdout) if thing]
    bound = {thing["spec"]["policyName"] for thing in made if thing["kind"] == "ValidatingAdmissionPolicyBinding"}
    found = [thing for thing in made if thing["kind"] == "ValidatingAdmissionPolicy"]
    assert bound == {policy["metadata"]["name"] for policy in found}
    return {
        resource: policy["spec"]
        for policy in found
        for rule in policy["spec"]["matchConstraints"]["resourceRules"]
        for resource in rule["resources"]
    }


def answers(policies: dict[str, Object], child: Object, operation: str = "CREATE", by: str = ACCOUNT) -> list[str]:
    """The messages with which the API server would refuse a request; empty when it lets it through."""
    policy = policies[f"{child['kind'].lower()}s"]
    request = {"operation": operation, "userInfo": {"username": by}}
    before, after = (child, None) if operation == "DELETE" else (None, child)
    context: Object = {"request": request, "object": after, "oldObject": before}
    for condition in policy["matchConditions"]:
        if not cel.evaluate(condition["expression"], context):
            return []
    variables: Object = {}
    for variable in policy["variables"]:
        variables[variable["name"]] = cel.evaluate(variable["expression"], {**context, "variables": dict(variables)})
    context["variables"] = variables
    return [rule["message"] for rule in policy["validations"] if cel.evaluate(rule["expression"], context) is not True]


def child(stage: str, example: str = "smollm2-cpu") -> Object:
    return dict(yaml.safe_load((GOLDEN / example / f"{stage}.yaml").read_text()))


def pod_of(made: Object) -> Pod:
    if made["kind"] == "Job":
        return made["spec"]["template"]["spec"]  # type: ignore[no-any-return]
    return made["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_stage_of_the_examples_is_let_through(policies: dict[str, Object], path: Any) -> None:
    made = yaml.safe_load(path.read_text())
    assert answers(policies, made) == []
    assert answers(policies, made, "DELETE") == []


def no_label(made: Object) -> None:
    del made["metadata"]["labels"]["app.kubernetes.io/managed-by"]


def other_owner(made: Object) -> None:
    made["metadata"]["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "1"}]


def system_namespace(made: Object) -> None:
    made["metadata"]["namespace"] = "kube-system"


def in_pod(**members: Any) -> Callable[[Object], None]:
    def change(made: Object) -> None:
        pod_of(made).update(copy.deepcopy(members))

    return change


def in_container(**members: Any) -> Callable[[Object], None]:
    def change(made: Object) -> None:
        pod_of(made)["containers"][0]["securityContext"].update(members)

    return change


def other_image(made: Object) -> None:
    pod_of(made)["containers"][0]["image"] = "docker.io/somebody/miner:latest"


def init_container(made: Object) -> None:
    pod_of(made)["initContainers"] = [{"name": "first", "image": Installation().converter_image}]


SPOILT = [
    (no_label, "its label"),
    (other_owner, "a DistillationJob owns"),
    (system_namespace, "namespaces of Kubernetes"),
    (other_image, "images of this installation"),
    (in_pod(securityContext={}), "runAsNonRoot"),
    (in_pod(securityContext={"runAsNonRoot": False}), "runAsNonRoot"),
    (in_pod(hostNetwork=True), "namespace of their host"),
    (in_pod(hostPID=True), "namespace of their host"),
    (in_pod(volumes=[{"name": "root", "hostPath": {"path": "/"}}]), "scratch space and their storage"),
    (in_pod(volumes=[{"name": "s", "secret": {"secretName": "db"}}]), "scratch space and their storage"),
    (in_pod(automountServiceAccountToken=True), "no token"),
    (in_container(privileged=True), "no privileges"),
    (in_container(allowPrivilegeEscalation=True), "no privileges"),
    (in_container(runAsUser=0), "no privileges"),
    (in_container(capabilities={"add": ["SYS_ADMIN"]}), "no privileges"),
    (init_container, "no privileges"),
]


@pytest.mark.parametrize("stage", ["evaluate", "train-teacher-data"])
@pytest.mark.parametrize(("spoil", "told"), SPOILT, ids=[f"{number}" for number in range(len(SPOILT))])
def test_what_no_stage_needs_is_refused_by_its_name(
    policies: dict[str, Object], spoil: Callable[[Object], None], told: str, stage: str
) -> None:
    made = child(stage)
    spoil(made)
    [message] = answers(policies, made)
    assert told in message


SECURITY = {
    "Restricted": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    "LockedMemory": container_security("LockedMemory", chips=8),
    "Privileged": container_security("Privileged", chips=8),
    "no capability dropped": {**container_security("LockedMemory", 8), "capabilities": {"add": ["SYS_RESOURCE"]}},
    "one more capability": {
        **container_security("LockedMemory", 8),
        "capabilities": {"drop": ["ALL"], "add": ["SYS_RESOURCE", "SYS_ADMIN"]},
    },
    "growing": {**container_security("LockedMemory", 8), "allowPrivilegeEscalation": True},
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("stage", ["generate", "train-teacher-data", "evaluate"])
def test_a_profile_lets_through_what_it_is_and_with_chips_alone(
    of_profile: dict[str, dict[str, Object]], profile: str, stage: str
) -> None:
    let_through = set()
    for name, security in SECURITY.items():
        made = child(stage, "deepseek2-16b-to-llama2-7b")
        pod_of(made)["containers"][0]["securityContext"] = security
        told = answers(of_profile[profile], made)
        assert all("no privileges" in message for message in told)
        if not told:
            let_through.add(name)
    expected = {"Restricted"}
    if stage != "evaluate" and profile != "Restricted":
        expected = {"Restricted", "LockedMemory"} if profile == "LockedMemory" else set(SECURITY)
    assert let_through == expected


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", sorted(OPTIONS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_pods_of_each_option_need_its_own_profile(
    of_profile: dict[str, dict[str, Object]], profile: str, path: Path
) -> None:
    needs = {"locked-memory": {"LockedMemory", "Privileged"}, "privileged": {"Privileged"}}.get(
        path.stem, set(PROFILES)
    )
    for made in yaml.safe_load_all(path.read_text()):
        assert (answers(of_profile[profile], made) == []) is (profile in needs)


def test_jobs_of_others_are_not_deleted(policies: dict[str, Object]) -> None:
    made = child("evaluate")
    no_label(made)
    assert answers(policies, made, "DELETE")


def test_nobody_else_is_asked(policies: dict[str, Object]) -> None:
    made = child("evaluate")
    other_image(made)
    assert answers(policies, made, by="system:serviceaccount:ml:ci") == []


def test_the_policies_can_be_left_out(helm: Helm) -> None:
    flags = ("--kube-version", "1.34.4", *BUILT, "--set", "admissionPolicy.enabled=false")
    done = helm("template", "d", str(CHART), *flags)
    assert "ValidatingAdmissionPolicy" not in done.stdout and done.returncode == 0
