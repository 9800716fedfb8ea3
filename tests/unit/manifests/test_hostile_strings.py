"""No string of a tenant reaches a shell, another namespace, the host, or the operator's own account."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.wrong_manifests import GOOD
from distillation_api.contract import JOB_ENV, STAGE_SPEC_ENV, WRITER_ENV, StageSpec
from distillation_api.resource import DistillationJob
from distillation_operator.commands.validation import validate
from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.settings import Installation
from distillation_operator.pipeline.graph import build_pipeline

Path = tuple[str | int, ...]
Object = dict[str, Any]

FULL: Object = copy.deepcopy(GOOD)
FULL["metadata"]["namespace"] = "tenant"
FULL["spec"]["dataset"] |= {"systemColumn": "system", "messages": {"roleKey": "who", "roles": {"user": ["customer"]}}}
FULL["spec"]["generation"] |= {"systemPrompt": "be brief", "chatTemplate": "{{ messages }}"}
FULL["spec"]["generation"]["chatTemplateArguments"] = {"reasoning_effort": "low"}
FULL["spec"]["student"]["chatTemplateArguments"] = {"enable_thinking": "false"}
FULL["spec"]["generation"]["sampling"] = {"stop": ["END"]}
FULL["spec"]["queue"]["topology"] = "cloud.google.com/gke-nodepool"
FULL["spec"]["generation"]["accelerator"]["nodeSelector"] = {"cloud.google.com/gke-nodepool": "pool"}
FULL["spec"]["pod"] = {
    "serviceAccountName": "distill",
    "priorityClassName": "batch",
    "imagePullSecrets": ["registry"],
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "team", "value": "ml", "effect": "NoSchedule"}],
    "labels": {"team": "ml"},
    "annotations": {"example.com/owner": "ml"},
    "env": [
        {"name": "HTTPS_PROXY", "value": "http://proxy"},
        {"name": "PASSWORD", "secret": {"secretName": "proxy", "key": "password"}},
    ],
}
FULL["spec"]["export"] = {"to": {"gcs": {"uri": "gs://models/new"}}}
"""A manifest with a string in every place where a user can put one."""

HOSTILE = (
    "$(id)", "`id`", "; rm -rf /storage", "&& curl evil", "| sh", "$HOME", "$(HF_TOKEN)", "$$(HF_TOKEN)", "'; echo '",
    '"; echo "', "\n- hostPath: {path: /}", "../../etc/passwd", "/etc/passwd", "..", "a/../b", "{{ 7 * 7 }}", "--help",
    "kube-system", "other/name", "default:admin", "hostPath", "\u202e", "x" * 70, "bucket,uid=0",
    "bucket --o allow_other",
)  # fmt: skip
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30), st.text("abz09.-_/=,:$", max_size=20))


def strings_in(value: object, path: Path = ()) -> Iterator[Path]:
    """The places of all strings of a spec."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from strings_in(member, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings_in(item, (*path, index))
    elif isinstance(value, str):
        yield path


def with_text(path: Path, text: str) -> Object:
    changed: Object = copy.deepcopy(FULL)
    place: Any = changed["spec"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = text
    return changed


def pods_of(child: Object) -> Iterator[Object]:
    spec = child["spec"]
    yield from ([job["template"]["spec"]["template"] for job in spec["replicatedJobs"]] if "replicatedJobs" in spec
                else [spec["template"]])  # fmt: skip


def skeleton(pod: Object) -> Object:
    """A pod without what users may choose in it: all else is the same whatever they write."""
    pod = copy.deepcopy(pod)
    spec = pod["spec"]
    for chosen in ("serviceAccountName", "priorityClassName", "imagePullSecrets", "nodeSelector", "tolerations"):
        spec.pop(chosen, None)
    container = spec["containers"][0]
    ours = [variable for variable in container["env"] if variable["name"] in OUR_VARIABLES]
    # Two of the user's, and the one that names the secret of them.
    assert len(container["env"]) == len(ours) + 3
    container["env"] = ours
    for variable in spec["containers"][0]["env"]:
        if variable["name"] == STAGE_SPEC_ENV:
            variable["value"] = ""
        if variable["name"] == "HF_TOKEN":
            variable["valueFrom"]["secretKeyRef"] = {}
        if variable["name"] == "JAX_COORDINATOR_ADDRESS":
            variable["value"] = ""
    spec["containers"][0]["resources"] = {}
    for volume in spec["volumes"]:
        if "csi" in volume:
            attributes = volume["csi"]["volumeAttributes"]
            assert "," not in attributes.pop("bucketName")
        if volume["name"] == "shared-memory":
            assert re.fullmatch(r"[0-9]+[MG]i", volume["emptyDir"].pop("sizeLimit")), "a part of the pod's memory"
        if "persistentVolumeClaim" in volume:
            volume["persistentVolumeClaim"] = {}
    return pod


def children_of(manifest: Object) -> dict[str, Object]:
    job = DistillationJob.parse({**manifest, "metadata": {**manifest["metadata"], "uid": "uid-1"}})
    return {stage.name: child_manifest(job, stage, 0, Installation()) for stage in build_pipeline(job.spec).values()}


def annotations_of(pod: Object) -> Object:
    """Those that aren't a user's."""
    annotations: Object = pod["metadata"].get("annotations") or {}
    users = ("example.com/owner", "kueue.x-k8s.io/podset-slice-required-topology")
    return {key: value for key, value in annotations.items() if key not in users}


PLACES = sorted(strings_in(FULL["spec"]), key=str)
PLAIN = children_of(FULL)
OUR_VARIABLES = (
    STAGE_SPEC_ENV, WRITER_ENV, JOB_ENV, "HOME", "HF_TOKEN", "HF_HUB_OFFLINE", "JAX_PLATFORMS", "JOB_INDEX",
    "JAX_COORDINATOR_ADDRESS", "JAX_PROCESS_COUNT", "PROCESSES_IN_JOB", "GRACE_SECONDS",
)  # fmt: skip


@settings(max_examples=400, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PLACES), texts)
def test_a_string_is_refused_or_stays_where_it_belongs(path: Path, text: str) -> None:
    manifest = with_text(path, text)
    if validate(manifest):
        return
    for name, child in children_of(manifest).items():
        assert child["metadata"]["namespace"] == "tenant"
        assert child["kind"] in ("Job", "JobSet")
        for pod in pods_of(child):
            container = pod["spec"]["containers"][0]
            assert "command" not in container and "args" not in container
            values = {variable["name"]: variable.get("value") for variable in container["env"]}
            assert "$" not in (values[STAGE_SPEC_ENV] or ""), "the kubelet would replace it"
            StageSpec.model_validate_json(values[STAGE_SPEC_ENV] or "")
            if name in PLAIN:
                plain = next(pods_of(PLAIN[name]))
                assert skeleton(pod) | {"metadata": None} == skeleton(plain) | {"metadata": None}
                assert annotations_of(pod) == annotations_of(plain)


def test_the_strings_that_would_leave_the_storage_or_name_the_host_are_refused() -> None:
    refused = ("/etc/passwd", "..", "a/../b", "../../etc/passwd", "$(id)", "; rm -rf /storage")
    places: list[Path] = [("storage", "prefix"), ("student", "source", "path")]
    for path in places:
        assert all(validate(with_text(path, text)) for text in refused), path
    for text in refused:
        assert validate(with_text(("pod", "serviceAccountName"), text))
        assert validate(with_text(("storage", "gcs", "bucket"), text))


def test_every_string_of_the_spec_was_tried() -> None:
    leaves = json.dumps([".".join(map(str, path)) for path in PLACES])
    for name in (
        "repo",
        "uri",
        "bucket",
        "serviceAccountName",
        "systemPrompt",
        "chatTemplate",
        "queue",
        "secretName",
        "env",
    ):
        assert name in leaves
    for name in ("reasoning_effort", "enable_thinking"):
        assert name in leaves
