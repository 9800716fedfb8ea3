"""What the chart renders: exact for five sets of values, refused where a value is wrong.

``UPDATE_GOLDEN=1 pytest tests/chart/test_render.py`` rewrites the files.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillation_api.schemas.crd import custom_resource_definition
from distillation_operator.cli import _parser
from distillation_operator.manifests.allowed import Allowed
from distillation_operator.manifests.stage_pods import GcsFuseLimits, StagePods
from support.helm import BUILT, Helm
from testbed.helm import CHART
from testbed.layout import CHECKOUT

FOLDER = Path(__file__).parent
SETS = sorted(path.stem for path in (FOLDER / "values").glob("*.yaml"))
LABELS = re.compile(r"helm\.sh/chart: .*|app\.kubernetes\.io/version: .*")

Object = dict[str, Any]


def template(helm: Helm, *arguments: str) -> subprocess.CompletedProcess[str]:
    return helm("template", "distillation", str(CHART), "--kube-version", "1.34.4", *BUILT, *arguments)


def render(helm: Helm, *arguments: str) -> list[Object]:
    """The objects of a release called "distillation"."""
    done = template(helm, "--namespace", "distillation-system", *arguments)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [made for made in objects if made["kind"] == kind]


@pytest.mark.parametrize("page", ["README.md", "docs/gke.md"])
def test_the_documents_install_the_chart_with_values_that_it_has(helm: Helm, page: str) -> None:
    text = (CHECKOUT / page).read_text().replace("\\\n", " ")
    [command] = re.findall(r"^helm install (.+)$", text, re.MULTILINE)
    release, chart, *flags = shlex.split(command)
    done = helm("template", release, str(CHECKOUT / chart), "--kube-version", "1.34.4", *flags)
    assert done.returncode == 0, done.stderr
    [deployment] = of_kind([document for document in yaml.safe_load_all(done.stdout) if document], "Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    named = [container["image"], *(value for value in container["args"] if "-image=" in value)]
    assert len(named) == 5
    assert all("REGISTRY/" in value for value in named), "each image is one that the reader has built"


def test_helm_finds_nothing_to_complain_of(helm: Helm) -> None:
    for values in SETS:
        file = FOLDER / "values" / f"{values}.yaml"
        done = helm("lint", "--strict", str(CHART), "--kube-version", "1.34.4", "--values", str(file))
        assert done.returncode == 0, done.stdout


def test_there_are_five_sets_of_values() -> None:
    assert len(SETS) == 5
    assert sorted(path.stem for path in (FOLDER / "golden").iterdir()) == SETS


@pytest.mark.parametrize("values", SETS)
def test_a_set_of_values_renders_exactly_this(helm: Helm, values: str) -> None:
    objects = render(helm, "--values", str(FOLDER / "values" / f"{values}.yaml"))
    text = yaml.safe_dump_all(objects, sort_keys=False, width=120)
    golden = FOLDER / "golden" / f"{values}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert golden.read_text() == text, (
        "run UPDATE_GOLDEN=1 pytest tests/chart/test_render.py and look at the difference"
    )


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("replica=2", "replica"),
        ("replicas=3", "replicas"),
        ("image.digest=sha256:12", "digest"),
        ("image.pullpolicy=Always", "pullpolicy"),
        ("stageImages.trainer=", "trainer"),
        ("namespaces[0]=Not_A_Name", "namespaces"),
        ("logFormat=xml", "logFormat"),
        ("maxText.allowUnlisted=some", "allowUnlisted"),
        ("allowed.bucket[0]=b", "bucket"),
        ("allowed.buckets=b", "buckets"),
        ("allowed.sourceUris[0]=bucket", "sourceUris"),
        ("stagePods.deadlineSeconds=5", "deadlineSeconds"),
        ("stagePods.scratchLimit=much", "scratchLimit"),
        ("stagePods.acceleratorProfile=Root", "acceleratorProfile"),
        ("metrics.prometheusRule.on=true", "on"),
        ("rbac.userRoles=null-ish", "userRoles"),
        ("fullnameOverride=Distil_", "fullnameOverride"),
        (f"nameOverride={'n' * 51}", "nameOverride"),
        ("extraEnv[0].value=1", "name"),
        ("extraEnv[0].name=A", "extraEnv"),
        ("extraEnv[0].name=A-B", "extraEnv"),
        ("extraEnv[0].name=A,extraEnv[0].valueFrom.file=f", "extraEnv"),
        ("extraEnv[0].name=POD_NAMESPACE,extraEnv[0].value=other", "extraEnv must not set POD_NAMESPACE"),
        ("extraEnv[0].name=PYTHONPATH,extraEnv[0].value=other", "extraEnv must not set PYTHONPATH"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(helm: Helm, argument: str, told: str) -> None:
    done = template(helm, "--set", argument)
    assert done.returncode != 0
    assert told in done.stderr


def test_the_crd_is_the_committed_one_and_is_kept(helm: Helm) -> None:
    [crd] = of_kind(render(helm), "CustomResourceDefinition")
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert crd["spec"] == custom_resource_definition()["spec"]
    assert (CHART / "files" / "distillationjobs.yaml").read_text() == (
        CHECKOUT / "crds" / "distillationjobs.yaml"
    ).read_text(), "run `make generate`"
    [crd] = of_kind(render(helm, "--set", "crds.keep=false"), "CustomResourceDefinition")
    assert "annotations" not in crd["metadata"]


def test_with_namespaces_the_operator_is_allowed_nothing_in_the_whole_cluster(helm: Helm) -> None:
    objects = render(helm, "--values", str(FOLDER / "values" / "namespaced.yaml"))
    assert not of_kind(objects, "ClusterRoleBinding") and not of_kind(objects, "ClusterRole")
    roles = {role["metadata"]["namespace"] for role in of_kind(objects, "Role")}
    assert roles == {"ml", "research", "distillation-system"}


def user_roles(helm: Helm, *flags: str) -> dict[str, list[Object]]:
    """The rules that the cluster's own roles get, by their names."""
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    return {
        label.removeprefix(prefix): role["rules"]
        for role in of_kind(render(helm, *flags), "ClusterRole")
        for label in role["metadata"]["labels"]
        if label.startswith(prefix)
    }


NAMED = ("--set-json", 'namespaces=["ml"]')
NO_CRD = ("--set", "crds.install=false")


@pytest.mark.parametrize("flags", [(), NAMED, NO_CRD, (*NAMED, *NO_CRD, "--set", "rbac.userRoles=true")])
def test_users_get_their_jobs_by_the_clusters_own_roles(helm: Helm, flags: tuple[str, ...]) -> None:
    made = user_roles(helm, *flags)
    assert made.keys() == {"edit", "admin", "view"}
    for rules in made.values():
        assert [(rule["apiGroups"], rule["resources"]) for rule in rules] == [
            (["distillation.dev"], ["distillationjobs"])
        ]
    assert made["view"][0]["verbs"] == ["get", "list", "watch"]


def test_users_get_nothing_where_a_value_says_no(helm: Helm) -> None:
    for flags in ((), NAMED):
        assert user_roles(helm, *flags, "--set", "rbac.userRoles=false") == {}


def test_who_has_rights_in_the_namespaces_alone_can_install(helm: Helm) -> None:
    """Nothing of it belongs to the cluster, but for the policies, which have a value of their own."""
    objects = render(helm, *NAMED, *NO_CRD, "--set", "admissionPolicy.enabled=false")
    assert {made["metadata"].get("namespace") for made in objects} == {"ml", "distillation-system"}


def test_nothing_is_rendered_for_images_that_no_registry_has(helm: Helm) -> None:
    bare = ("template", "distillation", str(CHART), "--kube-version", "1.34.4")
    done = helm(*bare)
    assert done.returncode != 0
    assert "build and push yours (images/README.md), then set image.repository, stageImages.converter, " in done.stderr
    done = helm(*bare, "--set", "image.repository=registry.example.com/operator")
    assert (
        "then set stageImages.converter, stageImages.fetcher, stageImages.teacher, stageImages.trainer" in done.stderr
    )
    assert helm(*bare, *BUILT).returncode == 0


def test_names_can_be_replaced_and_stay_names_of_one_installation(helm: Helm) -> None:
    def named(*flags: str) -> tuple[str, str, set[str]]:
        objects = render(helm, *flags)
        [deployment] = of_kind(objects, "Deployment")
        pod = deployment["spec"]["template"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        [service] = of_kind(objects, "Service")
        assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
        [lease] = [arg for arg in pod["spec"]["containers"][0]["args"] if arg.startswith("--lease=")]
        accounts = {made["metadata"]["name"] for made in of_kind(objects, "ServiceAccount")}
        assert accounts == {pod["spec"]["serviceAccountName"]}
        label = deployment["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
        return deployment["metadata"]["name"], label, {lease.rpartition("/")[2], *accounts}

    name = "distillation-distil"
    assert named("--set", "nameOverride=distil") == ("distillation", "distil", {"distillation"})
    assert named("--set", "nameOverride=students") == ("distillation-students", "students", {"distillation-students"})
    assert named("--set", f"fullnameOverride={name}") == (name, "distillation-operator", {name})


def test_more_variables_come_after_the_operators_own(helm: Helm) -> None:
    secret = "extraEnv[1].valueFrom.secretKeyRef"
    proxy = "extraEnv[0].name=HTTPS_PROXY,extraEnv[0].value=http://proxy.example.com"
    flags = ("--set", proxy, "--set", f"extraEnv[1].name=TOKEN,{secret}.name=s,{secret}.key=k")
    [deployment] = of_kind(render(helm, *flags), "Deployment")
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [one["name"] for one in env] == ["POD_NAME", "POD_NAMESPACE", "POD_SERVICE_ACCOUNT", "HTTPS_PROXY", "TOKEN"]
    assert env[4]["valueFrom"] == {"secretKeyRef": {"name": "s", "key": "k"}}
    twice = template(helm, *flags, "--set", "extraEnv[2].name=TOKEN,extraEnv[2].value=x")
    assert "extraEnv must not set TOKEN: it is the operator's own, or set twice" in twice.stderr


@pytest.mark.parametrize(
    ("flags", "allowed"),
    [
        ((), True),
        (("--set", "rbac.nodes=false"), False),
        (("--set", "namespaces={ml}"), False),
        (("--set", "namespaces={ml}", "--set", "rbac.nodes=true"), True),
    ],
)
def test_nodes_are_read_where_that_is_wanted(helm: Helm, flags: tuple[str, ...], allowed: bool) -> None:
    objects = render(helm, *flags)
    read = {
        role["metadata"]["name"]: rule["verbs"]
        for role in of_kind(objects, "ClusterRole")
        for rule in role["rules"]
        if "nodes" in rule["resources"]
    }
    bound = {binding["roleRef"]["name"] for binding in of_kind(objects, "ClusterRoleBinding")}
    assert list(read.values()) == ([["get"]] if allowed else [])
    assert set(read) <= bound


@pytest.mark.parametrize(("namespaces", "kind"), [("[]", "ClusterRole"), ('["ml"]', "Role")])
def test_an_operator_of_the_version_before_may_write_its_events_too(helm: Helm, namespaces: str, kind: str) -> None:
    roles = of_kind(render(helm, "--set-json", f"namespaces={namespaces}"), kind)
    rules = [rule for role in roles for rule in role["rules"] if rule["resources"] == ["events"]]
    created = {group for rule in rules for group in rule["apiGroups"] if "create" in rule["verbs"]}
    assert created == {"", "events.k8s.io"}


def test_the_operator_may_change_one_lease_by_its_name(helm: Helm) -> None:
    [deployment] = of_kind(objects := render(helm), "Deployment")
    [lease] = [arg for arg in deployment["spec"]["template"]["spec"]["containers"][0]["args"] if "--lease=" in arg]
    rules = [rule for role in of_kind(objects, "Role") for rule in role["rules"] if rule["resources"] == ["leases"]]
    assert {verb: rule.get("resourceNames") for rule in rules for verb in rule["verbs"]} == {
        "create": None,  # whose name the API server doesn't know yet
        "get": [lease.rpartition("/")[2]],
        "update": [lease.rpartition("/")[2]],
    }


def test_permissions_are_never_given_to_the_account_of_all_pods(helm: Helm) -> None:
    done = template(helm, "--set", "serviceAccount.create=false")
    assert done.returncode != 0
    assert "serviceAccount.name must be given" in done.stderr


def notes(helm: Helm, folder: Path, *arguments: str) -> str:
    """The notes of an installation, which Helm prints only where there is a cluster: so as an object's text."""
    chart = shutil.copytree(CHART, folder / "chart", dirs_exist_ok=True)
    shutil.copy(CHART / "templates" / "NOTES.txt", chart / "notes")
    (chart / "templates" / "told.yaml").write_text('kind: Notes\ntext: {{ tpl (.Files.Get "notes") . | toJson }}\n')
    command = ("template", "distillation", str(chart), "--kube-version", "1.34.4", "--show-only", "templates/told.yaml")
    done = helm(*command, *BUILT, *arguments)
    assert done.returncode == 0, done.stderr
    return str(yaml.safe_load(done.stdout)["text"])


def test_the_notes_warn_of_what_is_wide_open(helm: Helm, tmp_path: Path) -> None:
    told = notes(helm, tmp_path, "--set", "metrics.serviceMonitor.enabled=true")
    for warned in ("Name by digest", "registry.example.com/trainer:", "docs/security.md", "metricsFrom"):
        assert warned in told
    assert "run as root" not in told
    profile = notes(helm, tmp_path, "--set", "stagePods.acceleratorProfile=LockedMemory")
    assert "WARNING: with stagePods.acceleratorProfile=LockedMemory containers with chips run as root" in profile
    without_roles = "rbac.userRoles=true adds them"
    assert without_roles in notes(helm, tmp_path, *NAMED, *NO_CRD) and without_roles not in told
    locked_down = ("--values", str(FOLDER / "values" / "locked-down.yaml"), "--set", "namespaces={ml}")
    assert "WARNING" not in notes(helm, tmp_path, *locked_down)


def test_no_rule_has_a_wildcard_or_reads_secrets(helm: Helm) -> None:
    objects = render(helm)
    rules = [rule for role in (*of_kind(objects, "Role"), *of_kind(objects, "ClusterRole")) for rule in role["rules"]]
    assert len(rules) > 8
    for rule in rules:
        assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
        assert "secrets" not in rule["resources"]


def test_the_operator_understands_its_arguments(helm: Helm) -> None:
    for values in SETS:
        [deployment] = of_kind(render(helm, "--values", str(FOLDER / "values" / f"{values}.yaml")), "Deployment")
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        parsed = _parser().parse_args(container["args"])
        assert parsed.port == 8080
        assert parsed.lease[0] == "distillation-system"


def test_unlisted_maxtext_settings_are_allowed_by_a_value_alone(helm: Helm) -> None:
    for arguments, allowed in (((), False), (("--set", "maxText.allowUnlisted=true"), True)):
        [deployment] = of_kind(render(helm, *arguments), "Deployment")
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        assert _parser().parse_args(container["args"]).allow_unlisted_maxtext_settings is allowed


def test_what_values_narrow_reaches_the_operator_and_nothing_is_narrowed_by_default(helm: Helm) -> None:
    def parsed(*arguments: str) -> argparse.Namespace:
        [deployment] = of_kind(render(helm, *arguments), "Deployment")
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        return _parser().parse_args(container["args"])

    assert (parsed().allowed, parsed().stage_pods) == (Allowed(), StagePods())
    narrowed = parsed("--values", str(FOLDER / "values" / "locked-down.yaml"))
    assert narrowed.allowed == Allowed(
        service_accounts=["distill"],
        buckets=["distill-{namespace}"],
        claims=[],
        secrets=["hf-*"],
        queues=["tpu-queue"],
        require_commit=True,
    )
    assert narrowed.stage_pods == StagePods(
        scratch_limit="500Gi", deadline_seconds=604800, log_tails=False, gcs_fuse=GcsFuseLimits(memory="8Gi")
    )


def test_every_rule_is_a_value_of_the_chart() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["allowed"].keys() == Allowed.model_json_schema(by_alias=True)["properties"].keys()
    assert values["stagePods"].keys() == StagePods.model_json_schema(by_alias=True)["properties"].keys()


def test_pods_pass_pod_security_restricted(helm: Helm) -> None:
    objects = render(helm)
    pods = [of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"], of_kind(objects, "Pod")[0]["spec"]]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = pod["containers"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_every_value_is_described_and_in_the_schema() -> None:
    text = (CHART / "values.yaml").read_text()
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load(text)
    assert set(values) == set(schema["properties"]) - {"global"}
    lines = text.splitlines()
    leaves = [number for number, line in enumerate(lines) if re.match(r"^\s*[a-zA-Z]+: \S", line)]
    bare = [lines[number].strip() for number in leaves if not lines[number - 1].strip().startswith("# -- ")]
    assert [line.split(":")[0] for line in bare] == ["requests", "limits"]
