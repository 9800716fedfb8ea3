"""Pods that read weights from a bucket keep them in the VM's memory, and ask for no more of the VM than before."""

from typing import Any

import pytest

from distillation_api.accelerators import ACCELERATORS
from distillation_operator.manifests.pod import MACHINE_PERCENT
from distillation_operator.manifests.quantities import bytes_of
from distillation_operator.manifests.stage_pods import GcsFuseLimits, StagePods
from unit.manifests.pod_templates import BUCKET, templates

GIB, GB = 1 << 30, 10**9
ANNOTATION = "gke-gcsfuse/memory-request"
Object = dict[str, Any]
MACHINES = [
    (name, shape.topology, chips)
    for name, family in ACCELERATORS.items()
    for shape in family.shapes
    for chips in shape.chips_per_host
    if chips in family.machines and shape.chips == chips
]
"""Each VM, by a slice of one."""


def with_chips(
    accelerator: Object, limits: StagePods | None = None, **members: Any
) -> tuple[Object, Object, list[Object]]:
    """The pods of generation and of training, and the others."""
    wanted = {"storage": BUCKET, "generation": {"accelerator": accelerator}, **members}
    wanted["training"] = {"accelerator": accelerator, "stages": [{"name": "one", "steps": 1}]}
    made = templates(limits or StagePods(), **wanted)
    [generate, train] = [one for one in made if "google.com/tpu" in limits_of(one)]
    return generate, train, [one for one in made if "google.com/tpu" not in limits_of(one)]


def limits_of(template: Object) -> Object:
    return dict(template["spec"]["containers"][0]["resources"]["limits"])


def cache_of(template: Object) -> Object | None:
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    return dict(volumes["gke-gcsfuse-cache"]["emptyDir"]) if "gke-gcsfuse-cache" in volumes else None


def storage_of(template: Object) -> Object:
    [storage] = [volume for volume in template["spec"]["volumes"] if volume["name"] == "storage"]
    return dict(storage["csi"]["volumeAttributes"])


V5E = {"type": "tpu-v5-lite-podslice", "topology": "2x4"}


def test_weights_are_cached_for_reads_of_ranges_in_memory_below_the_volumes_limit() -> None:
    generate, _, _ = with_chips(V5E)
    cache, told = cache_of(generate), storage_of(generate)
    assert cache is not None
    assert cache["medium"] == "Memory"
    assert told["fileCacheForRangeRead"] == "true"
    assert "file-cache:enable-parallel-downloads:true" in told["mountOptions"].split(",")
    assert 0 < bytes_of(told["fileCacheCapacity"]) < 0.95 * bytes_of(cache["sizeLimit"])


@pytest.mark.parametrize(("name", "topology", "chips"), MACHINES)
def test_of_each_machine_no_more_is_asked_for_than_without_a_cache(name: str, topology: str, chips: int) -> None:
    machine = ACCELERATORS[name].machines[chips]
    accelerator = {"type": name, "topology": topology, "chipsPerHost": chips}
    for template in with_chips(accelerator)[:2]:
        asked = bytes_of(template["spec"]["containers"][0]["resources"]["requests"]["memory"])
        sidecar = bytes_of(template["metadata"]["annotations"].get(ANNOTATION, "256Mi")) - (256 << 20)
        share = machine.memory_gb * GB * MACHINE_PERCENT // 100
        assert share - 2 * GB <= asked + sidecar <= share
        cache = cache_of(template)
        assert (bytes_of(cache["sizeLimit"]) if cache else 0) == sidecar


@pytest.mark.parametrize(("name", "topology", "chips"), MACHINES)
def test_a_training_has_none(name: str, topology: str, chips: int) -> None:
    """It reads a file once a start; saves, and what is offloaded to the host, need the VM's memory."""
    _, train, _ = with_chips({"type": name, "topology": topology, "chipsPerHost": chips})
    assert cache_of(train) is None
    assert "fileCacheCapacity" not in storage_of(train)


def test_what_a_user_asks_for_comes_first() -> None:
    """192 GB, of which 153.6 are for all containers."""
    accelerator = {"type": "tpu-v5-lite-podslice", "topology": "2x2"}
    for memory, size in (("100G", "49Gi"), ("80Gi", "63Gi"), ("16Gi", "71Gi"), ("150G", None)):
        resources = {"cpu": "8", "memory": memory}
        generate, _, _ = with_chips(accelerator, generation={"accelerator": accelerator, "resources": resources})
        cache = cache_of(generate)
        assert (cache["sizeLimit"] if cache else None) == size
        assert generate["spec"]["containers"][0]["resources"]["requests"]["memory"] == memory


def test_a_limit_of_the_sidecar_has_room_for_the_files_that_it_is_charged_for() -> None:
    limits = StagePods(gcs_fuse=GcsFuseLimits(memory="4Gi"))
    generate, _, others = with_chips(V5E, limits)
    cache = cache_of(generate)
    assert cache is not None
    limit = bytes_of(generate["metadata"]["annotations"]["gke-gcsfuse/memory-limit"])
    assert limit == bytes_of(cache["sizeLimit"]) + 4 * GIB
    assert {one["metadata"]["annotations"]["gke-gcsfuse/memory-limit"] for one in others} == {"4Gi"}


@pytest.mark.parametrize("memory", ["64Mi", "0", "4Gi"])
def test_the_sidecar_requests_no_more_than_its_limit(memory: str) -> None:
    generate, _, _ = with_chips(V5E, StagePods(gcs_fuse=GcsFuseLimits(memory=memory)))
    annotations = generate["metadata"]["annotations"]
    limit = bytes_of(annotations["gke-gcsfuse/memory-limit"])
    assert limit == 0 or bytes_of(annotations["gke-gcsfuse/memory-request"]) <= limit


def test_an_installation_can_have_less_or_none() -> None:
    sizes = []
    for percent in (40, 10, 0):
        cache = cache_of(with_chips(V5E, StagePods(weights_cache_percent=percent))[0])
        sizes.append(bytes_of(cache["sizeLimit"]) // GIB if cache else 0)
    assert sizes == [384 * GB * 40 // 100 // GIB, 384 * GB * 10 // 100 // GIB, 0]


def test_without_chips_or_a_bucket_there_is_none() -> None:
    _, _, others = with_chips(V5E)
    assert others
    for template in (*others, *with_chips(V5E, storage={"persistentVolumeClaim": {"claimName": "c"}})[:2]):
        assert cache_of(template) is None
        assert ANNOTATION not in template["metadata"].get("annotations", {})


@pytest.mark.parametrize(
    ("quantity", "size"),
    [("0", 0), ("1", 1), ("1500m", 2), ("2k", 2000), ("0.5Gi", GIB // 2), ("1.5G", 1_500_000_000), ("3Ti", 3 << 40)],
)
def test_quantities_are_read_as_kubernetes_does(quantity: str, size: int) -> None:
    assert bytes_of(quantity) == size
