"""The volumes that go with a pod: scratch space on its node's disk and, beside chips, shared memory.

The container runtime's own /dev/shm has 64 MiB: enough on CPU, where one process computes; public manifests of TPU pods
have more. It is memory of the container: what a pod requests and is limited to has it in it.
"""

from typing import Any

from distillation_api.contract import SCRATCH_MOUNT
from distillation_operator.manifests.quantities import bytes_of
from distillation_operator.pipeline.placement import Placement

SHARED_MEMORY_MOUNT = "/dev/shm"
LARGEST_MIB = 16 * 1024
"""Of shared memory: what public manifests of TPU pods give it."""
SHARE = 4
"""One part in so many of the pod's memory: a limit of tmpfs reserves nothing, but all of it may be filled."""
SCRATCH_BESIDE_CHIPS = "30Gi"
"""Where the installation sets no limit: of a TPU VM's default boot disk pods have some 44 GiB (docs/gke.md), and one
that fills it takes it from its node too. Compiled programs and logs take a few GB."""

_MIB = 2**20

Object = dict[str, Any]


def volumes(placement: Placement, scratch_limit: str | None) -> list[Object]:
    """The volumes of a pod beside its storage."""
    limit = scratch_limit or (SCRATCH_BESIDE_CHIPS if placement.chips else None)
    made: list[Object] = [{"name": "scratch", "emptyDir": {"sizeLimit": limit} if limit else {}}]
    if placement.chips:
        made.append({"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": shared_memory(placement)}})
    return made


def mounts(placement: Placement) -> list[Object]:
    """Where its container has them."""
    made = [{"name": "scratch", "mountPath": SCRATCH_MOUNT}]
    if placement.chips:
        made.append({"name": "shared-memory", "mountPath": SHARED_MEMORY_MOUNT})
    return made


def shared_memory(placement: Placement) -> str:
    """The limit of shared memory of a pod with chips."""
    memory = [LARGEST_MIB * SHARE * _MIB]
    if placement.machine is not None:
        memory.append(placement.machine.memory_gb * 10**9)
    if placement.memory is not None:
        memory.append(bytes_of(placement.memory))
    mebibytes = max(1, min(memory) // SHARE // _MIB)
    return f"{mebibytes // 1024}Gi" if mebibytes >= 1024 else f"{mebibytes}Mi"
