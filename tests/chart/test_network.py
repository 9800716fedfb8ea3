"""Who can connect to whom by the chart's NetworkPolicies, for the pods that the operator really makes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from distillation_operator.manifests.reading import JOBSET_NAME_LABEL
from support.helm import BUILT, Helm
from testbed.helm import CHART
from testbed.layout import CHECKOUT

CHILDREN = CHECKOUT / "tests" / "unit" / "manifests" / "golden" / "smollm2-cpu"
OTHER = {"app": "somebody-else"}

Object = dict[str, Any]
Labels = dict[str, str]


def policies(helm: Helm, *arguments: str) -> list[Object]:
    command = ("template", "distillation", str(CHART), "--kube-version", "1.34.4", "--namespace", "system", *BUILT)
    done = helm(*command, *arguments)
    assert done.returncode == 0, done.stderr
    return [made for made in yaml.safe_load_all(done.stdout) if made and made["kind"] == "NetworkPolicy"]


def selects(selector: Object, labels: Labels) -> bool:
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "Exists" for expression in expressions)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        expression["key"] in labels for expression in expressions
    )


def reaches(policies: list[Object], sender: Labels, receiver: Labels) -> bool:
    """Whether a pod may connect to another one of its namespace; a pod that no policy selects takes all."""
    applied = [policy["spec"] for policy in policies if selects(policy["spec"]["podSelector"], receiver)]
    peers = [peer for spec in applied for rule in spec.get("ingress", []) for peer in rule.get("from", [{}])]
    return not applied or any(selects(peer["podSelector"], sender) for peer in peers if "podSelector" in peer)


def pod_labels(stage: str, golden: Path = CHILDREN) -> Labels:
    child = yaml.safe_load((golden / f"{stage}.yaml").read_text())
    if child["kind"] == "Job":
        return dict(child["spec"]["template"]["metadata"]["labels"])
    [replicated] = child["spec"]["replicatedJobs"]
    labels = replicated["template"]["spec"]["template"]["metadata"]["labels"]
    # As JobSet adds to each pod.
    return {**labels, JOBSET_NAME_LABEL: child["metadata"]["name"]}


@pytest.mark.parametrize(
    ("sender", "receiver", "connects"),
    [
        ("train-teacher-data", "train-teacher-data", True),
        ("generate", "train-teacher-data", False),
        ("train-teacher-data", "generate", False),
        ("fetch-teacher", "fetch-student", False),
        (None, "train-teacher-data", False),
        (None, "evaluate", False),
    ],
)
def test_only_hosts_of_trainings_are_connected_to(
    helm: Helm, sender: str | None, receiver: str, connects: bool
) -> None:
    made = [policy for policy in policies(helm, "--set", "namespaces={demo}") if "demo" in policy["metadata"].values()]
    labels = pod_labels(sender) if sender else OTHER
    assert reaches(made, labels, pod_labels(receiver)) is connects


def test_pods_of_others_are_left_alone(helm: Helm) -> None:
    made = [policy for policy in policies(helm, "--set", "namespaces={demo}") if "demo" in policy["metadata"].values()]
    assert len(made) == 2
    assert reaches(made, OTHER, OTHER)


def test_each_namespace_that_is_named_gets_its_policies_once(helm: Helm) -> None:
    values = ("--set", "namespaces={ml,research}", "--set", "networkPolicy.stages.namespaces={ml,lab}")
    places = [policy["metadata"]["namespace"] for policy in policies(helm, *values)]
    assert sorted(places) == ["lab", "lab", "ml", "ml", "research", "research", "system"]
    off = policies(helm, *values, "--set", "networkPolicy.stages.enabled=false", "--set", "networkPolicy.enabled=false")
    assert off == []


def test_what_stages_reach_is_open_unless_it_is_narrowed(helm: Helm) -> None:
    for policy in policies(helm, "--set", "namespaces={ml}"):
        assert policy["spec"]["policyTypes"] == ["Ingress"]
    rule = "networkPolicy.stages.egress[0].ports[0].port=443"
    made = {
        policy["metadata"]["name"]: policy["spec"]
        for policy in policies(helm, "--set", "namespaces={ml}", "--set", rule)
    }
    stages, training = (
        made["distillation-distillation-operator-stages"],
        made["distillation-distillation-operator-training"],
    )
    assert stages["policyTypes"] == training["policyTypes"] == ["Ingress", "Egress"]
    assert [port["port"] for rule in stages["egress"] for port in rule["ports"]] == [53, 53, 443]
    [to] = [peer for rule in training["egress"] for peer in rule["to"]]
    assert selects(to["podSelector"], pod_labels("train-teacher-data"))


def test_metrics_are_for_the_own_namespace_and_those_who_are_named(helm: Helm) -> None:
    [policy] = policies(helm)
    [rule] = policy["spec"]["ingress"]
    assert rule == {"ports": [{"port": "http", "protocol": "TCP"}], "from": [{"podSelector": {}}]}
    named = "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=monitoring"
    [policy] = policies(helm, "--set", named)
    [rule] = policy["spec"]["ingress"]
    assert rule["from"][1:] == [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}]
