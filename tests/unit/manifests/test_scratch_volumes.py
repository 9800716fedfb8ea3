"""Scratch space and shared memory of pods: what they may hold, by machine and by what is asked for."""

from typing import Any

import pytest

from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.scratch_volumes import shared_memory
from distillation_operator.manifests.settings import Installation
from distillation_operator.manifests.stage_pods import StagePods
from distillation_operator.pipeline.graph import build_pipeline
from distillation_operator.pipeline.placement import on_slice
from support.scenario import job_of, small_spec

Object = dict[str, Any]
V6E = {"type": "tpu-v6e-slice", "topology": "2x4"}


def pods(limits: StagePods, **generation: Any) -> dict[str, Object]:
    """The pod of each stage; generation has chips."""
    job = job_of(small_spec(generation={"accelerator": V6E, **generation}))
    made = {
        name: child_manifest(job, stage, 0, Installation(stage_pods=limits))["spec"]
        for name, stage in build_pipeline(job.spec).items()
    }
    return {
        name: (spec if "template" in spec else spec["replicatedJobs"][0]["template"]["spec"])["template"]["spec"]
        for name, spec in made.items()
    }


def volume(pod: Object, name: str) -> Object | None:
    return next((one["emptyDir"] for one in pod["volumes"] if one["name"] == name), None)


def test_pods_with_chips_have_shared_memory_and_those_on_cpu_what_the_runtime_gives() -> None:
    for name, pod in pods(StagePods()).items():
        has_chips = name == "generate"
        assert volume(pod, "shared-memory") == ({"medium": "Memory", "sizeLimit": "16Gi"} if has_chips else None)
        mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert ("/dev/shm" in mounts) is has_chips


@pytest.mark.parametrize(
    ("kind", "topology", "memory", "limit"),
    [
        ("tpu-v5-lite-podslice", "1x1", None, "11Gi"),
        ("tpu-v5-lite-podslice", "2x2", None, "16Gi"),
        ("tpu7x", "1x1x1", None, "16Gi"),
        ("tpu-v6e-slice", "2x4", "400Gi", "16Gi"),
        ("tpu-v6e-slice", "2x4", "40Gi", "10Gi"),
        ("tpu-v6e-slice", "2x4", "2000M", "476Mi"),
        ("tpu-v6e-slice", "2x4", "1.5Gi", "384Mi"),
        ("tpu-v6e-slice", "2x4", "8589934592", "2Gi"),
    ],
)
def test_it_is_at_most_a_quarter_of_the_pods_memory(kind: str, topology: str, memory: str | None, limit: str) -> None:
    resources = {"resources": {"memory": memory}} if memory else {}
    job = job_of(small_spec(generation={"accelerator": {"type": kind, "topology": topology}, **resources}))
    generation = job.spec.generation
    assert generation.accelerator is not None
    assert shared_memory(on_slice(generation.accelerator, generation.resources)) == limit


@pytest.mark.parametrize(("limit", "of_chips", "on_cpu"), [(None, "30Gi", None), ("80Gi", "80Gi", "80Gi")])
def test_scratch_beside_chips_is_bounded_where_the_installation_says_nothing(
    limit: str | None, of_chips: str, on_cpu: str | None
) -> None:
    for name, pod in pods(StagePods(scratch_limit=limit)).items():
        expected = of_chips if name == "generate" else on_cpu
        assert volume(pod, "scratch") == ({"sizeLimit": expected} if expected else {})
        # Of the container only where it is asked for: that counts what the bucket's sidecar keeps on disk too.
        assert pod["containers"][0]["resources"]["limits"].get("ephemeral-storage") == limit
