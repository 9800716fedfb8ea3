"""What pods may do under each profile of an installation, and what is said where a namespace refuses them."""

from typing import Any

import pytest

from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.pod_security import with_advice
from distillation_operator.manifests.security_profiles import Profile
from distillation_operator.manifests.settings import Installation
from distillation_operator.manifests.stage_pods import StagePods
from distillation_operator.pipeline.graph import build_pipeline
from support.scenario import job_of, small_spec

Object = dict[str, Any]
V5E = {"type": "tpu-v5-lite-podslice", "topology": "2x4"}
OLDER: list[Profile] = ["LockedMemory", "Privileged"]


def pods(profile: Profile, **members: Any) -> dict[str, Object]:
    """The pod of each stage; generation and training have chips."""
    training = {"accelerator": V5E, "stages": [{"name": "one", "steps": 10}]}
    job = job_of(small_spec(**{"generation": {"accelerator": V5E}, "training": training, **members}))
    installation = Installation(stage_pods=StagePods(accelerator_profile=profile))
    found = {}
    for name, stage in build_pipeline(job.spec).items():
        spec = child_manifest(job, stage, 0, installation)["spec"]
        template = spec if "template" in spec else spec["replicatedJobs"][0]["template"]["spec"]
        found[name] = template["template"]["spec"]
    return found


WITH_CHIPS = {"generate", "train-one"}


@pytest.mark.parametrize("profile", OLDER)
def test_a_profile_is_for_pods_with_chips_alone(profile: Profile) -> None:
    restricted, changed = pods("Restricted"), pods(profile)
    assert {name for name in changed if changed[name] != restricted[name]} == WITH_CHIPS


def test_locked_memory_is_root_and_one_capability_and_nothing_else() -> None:
    for name, pod in pods("LockedMemory").items():
        if name in WITH_CHIPS:
            assert pod["containers"][0]["securityContext"] == {
                "runAsNonRoot": False,
                "runAsUser": 0,
                "runAsGroup": 65532,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"], "add": ["SYS_RESOURCE"]},
            }


def test_privileged_is_what_kubernetes_takes_for_it() -> None:
    security = pods("Privileged")["generate"]["containers"][0]["securityContext"]
    assert (security["privileged"], security["allowPrivilegeEscalation"]) == (True, True)
    assert security["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("profile", OLDER)
def test_what_others_put_into_the_pod_stays_restricted(profile: Profile) -> None:
    """The GCS FUSE sidecar has the pod's own context."""
    for pod in pods(profile).values():
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 65532)


@pytest.mark.parametrize("profile", ["Restricted", *OLDER])
def test_a_mounted_bucket_is_of_the_user_of_the_pod_and_a_claim_of_the_group_of_all(profile: Profile) -> None:
    for name, pod in pods(profile, storage={"gcs": {"bucket": "bucket"}}).items():
        [storage] = [volume for volume in pod["volumes"] if volume["name"] == "storage"]
        user = 0 if name in WITH_CHIPS and profile != "Restricted" else 65532
        assert f"uid={user},gid=65532" in storage["csi"]["volumeAttributes"]["mountOptions"]
    for pod in pods(profile).values():
        group = pod["containers"][0]["securityContext"].get("runAsGroup", pod["securityContext"]["runAsGroup"])
        assert (group, pod["securityContext"]["fsGroup"]) == (65532, 65532)


REFUSED = 'Error creating: pods "j-generate-0-x" is forbidden: violates PodSecurity "{level}:latest": {why}'


@pytest.mark.parametrize(
    ("profile", "level", "why"),
    [
        ("LockedMemory", "baseline", 'non-default capabilities (container "stage" must not include "SYS_RESOURCE" in '
         "securityContext.capabilities.add)"),
        ("Privileged", "restricted", 'privileged (container "stage" must not set securityContext.privileged=true)'),
    ],
)  # fmt: skip
def test_a_namespace_that_refuses_a_profile_is_told_with_what_to_do(profile: str, level: str, why: str) -> None:
    message = REFUSED.format(level=level, why=why)
    told = with_advice(message, "ml")
    assert told.startswith(
        f"namespace ml has the Pod Security level {level} (label pod-security.kubernetes.io/enforce)"
    )
    assert f"stagePods.acceleratorProfile={profile}" in told
    assert "label the namespace pod-security.kubernetes.io/enforce=privileged" in told
    assert told.endswith(message)


def test_other_refusals_are_the_servers_own_words() -> None:
    for message in (
        'pods "x" is forbidden: error looking up service account ml/a: serviceaccount "a" not found',
        REFUSED.format(level="restricted", why="seccompProfile (pod must set it)"),
    ):
        assert with_advice(message, "ml") == message
