"""What an installation limits of every pod of a stage, and that it changes nothing where it sets nothing."""

from typing import Any

import pytest

from distillation_api.contract import COMPILE_CACHE_ENV
from distillation_operator.manifests.stage_pods import GcsFuseLimits, StagePods
from unit.manifests.pod_templates import BUCKET, templates

Object = dict[str, Any]
V5E = {"type": "tpu-v5-lite-podslice", "topology": "2x4"}


@pytest.mark.parametrize("members", [{}, {"generation": {"accelerator": V5E}}], ids=["cpu", "tpu"])
def test_scratch_is_limited_for_folder_and_container_and_reserves_nothing(members: Object) -> None:
    for template in templates(StagePods(scratch_limit="200Gi"), **members):
        [scratch] = [volume for volume in template["spec"]["volumes"] if volume["name"] == "scratch"]
        assert scratch["emptyDir"] == {"sizeLimit": "200Gi"}
        resources = template["spec"]["containers"][0]["resources"]
        assert resources["limits"]["ephemeral-storage"] == "200Gi"
        assert resources["requests"]["ephemeral-storage"] == "0"


def test_a_deadline_is_of_the_pod_so_that_waiting_for_a_node_does_not_count() -> None:
    for template in templates(StagePods(deadline_seconds=3600)):
        assert template["spec"]["activeDeadlineSeconds"] == 3600


def test_the_words_of_crashed_programs_are_kept_out_of_the_status() -> None:
    for told, limits in ((True, StagePods()), (False, StagePods(log_tails=False))):
        for template in templates(limits):
            container = template["spec"]["containers"][0]
            assert container["terminationMessagePolicy"] == ("FallbackToLogsOnError" if told else "File")
            assert ({"name": "LOG_TAILS", "value": "no"} in container["env"]) is not told


def test_the_sidecar_of_a_bucket_is_limited() -> None:
    limits = StagePods(gcs_fuse=GcsFuseLimits(cpu="2", memory="4Gi", ephemeral_storage="50Gi"))
    for template in templates(limits, storage=BUCKET):
        told = template["metadata"]["annotations"]
        assert told["gke-gcsfuse/cpu-limit"] == "2"
        assert told["gke-gcsfuse/memory-limit"] == "4Gi"
        assert told["gke-gcsfuse/ephemeral-storage-limit"] == "50Gi"


def test_compiled_programs_are_shared_below_the_jobs_prefix_and_only_where_the_installation_says_so() -> None:
    def told(shared: bool) -> set[str | None]:
        made = templates(StagePods(shared_compile_cache=shared), storage={**BUCKET, "prefix": "team/one"})
        variables = [{v["name"]: v.get("value") for v in one["spec"]["containers"][0]["env"]} for one in made]
        return {one.get(COMPILE_CACHE_ENV) for one in variables}

    assert told(shared=False) == {None}
    assert told(shared=True) == {"team/one/cache"}


def test_without_settings_there_is_no_limit() -> None:
    for template in templates(StagePods(), storage=BUCKET):
        assert "activeDeadlineSeconds" not in template["spec"]
        assert {"name": "scratch", "emptyDir": {}} in template["spec"]["volumes"], "on CPU"
        assert "ephemeral-storage" not in template["spec"]["containers"][0]["resources"]["limits"]
        assert template["metadata"]["annotations"]["gke-gcsfuse/memory-limit"] == "0"
