"""A cache of files in the memory of a TPU's VM, for pods that read weights from a bucket: without one, each page of a
mapped file comes over the net when it is touched, while the chips wait.

Sources: gcs-fuse-csi-driver (attributes and names of volumes), gcsfuse's defaults (no file cache, none for reads of
ranges), vLLM's own TPU fleet (safetensors need the latter; a cache as large as its volume fills it up, and fails).
"""

from dataclasses import dataclass
from typing import Any

from distillation_operator.manifests.quantities import bytes_of
from distillation_operator.manifests.stage_pods import StagePods
from distillation_operator.pipeline.stage import Stage

VOLUME = "gke-gcsfuse-cache"
"""The name by which the driver's webhook takes a volume of ours for its cache."""
MEMORY_REQUEST, MEMORY_LIMIT = "gke-gcsfuse/memory-request", "gke-gcsfuse/memory-limit"
CAPACITY_PERCENT = 90
"""Of the volume that files may fill: writes to a full one fail."""
SMALLEST = 4
"""GiB; a smaller cache holds no shard of a model's weights."""
SIDECAR_MIB = 256
"""What the driver's sidecar requests by itself."""
MOUNT_OPTIONS = ("file-cache:enable-parallel-downloads:true",)

_GIB = 1 << 30

Object = dict[str, Any]


@dataclass(frozen=True)
class WeightsCache:
    """The cache of one pod."""

    volume_gib: int
    """What it may take of the VM's memory."""

    @property
    def memory_gb(self) -> int:
        """The same in the units in which machines are sold, rounded up."""
        return -(-self.volume_gib * _GIB // 10**9)

    @property
    def volume(self) -> Object:
        """The volume that holds it."""
        return {"name": VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": f"{self.volume_gib}Gi"}}

    @property
    def attributes(self) -> Object:
        """Attributes of the bucket's volume."""
        return {
            "fileCacheCapacity": f"{self.volume_gib * CAPACITY_PERCENT // 100}Gi",
            # Weights are mapped, and read at random: otherwise only files that are read from their beginning are kept.
            "fileCacheForRangeRead": "true",
        }

    def annotations(self, sidecar_memory: str) -> dict[str, str]:
        """Annotations of the pod. ``sidecar_memory``: the limit of the driver's sidecar, which is charged for the
        files; "0" is none.
        """
        volume, limit = self.volume_gib * 1024, -(-bytes_of(sidecar_memory) // (1 << 20))
        request = {MEMORY_REQUEST: f"{volume + (min(SIDECAR_MIB, limit) or SIDECAR_MIB)}Mi"}
        return {**request, MEMORY_LIMIT: f"{limit + volume}Mi"} if limit else request


def weights_cache(stage: Stage, limits: StagePods, on_bucket: bool, percent_for_us: int) -> WeightsCache | None:
    """The cache of a stage's pods; None where there is no bucket, no chip, or no memory to spare.

    ``percent_for_us``: of the VM's memory, what all containers of the pod may ask for together.
    """
    placement, machine = stage.placement, stage.placement.machine
    # A training reads each file once a start, and needs the VM's memory for saves and for what is offloaded to it.
    if machine is None or not on_bucket or stage.is_training:
        return None
    of_machine = machine.memory_gb * 10**9
    asked = 0 if placement.memory is None else bytes_of(placement.memory)
    spare = of_machine * percent_for_us // 100 - asked
    size = min(of_machine * limits.weights_cache_percent // 100, spare) // _GIB
    return WeightsCache(size) if size >= SMALLEST else None
