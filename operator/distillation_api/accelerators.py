"""The hardware that stages run on, as one data table: pods, rules of the CRD, ``plan`` and the programs read it.

Source: GKE's "TPU topologies" tables, as of 2026-11. Chips are the product of the topology, hosts (VMs) are
chips / chips per VM.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

Hardware = Literal["cpu", "tpu"]


@dataclass(frozen=True)
class Platform:
    """One kind of hardware, under the names that Kubernetes and the libraries have for it."""

    jax: str
    """Value of JAX_PLATFORMS."""
    maxtext: str
    """MaxText's setting ``hardware``."""
    resource: str | None = None
    """Resource of a pod that counts the chips; also the key of the nodes' taint."""
    type_label: str = ""
    """Node label whose value is the accelerator's type."""
    topology_label: str = ""
    """Node label whose value is the topology."""
    chips_per_host_label: str = ""
    """Node label whose value is the chips of one VM."""


PLATFORMS: dict[Hardware, Platform] = {
    "cpu": Platform(jax="cpu", maxtext="cpu"),
    "tpu": Platform(
        jax="tpu",
        maxtext="tpu",
        resource="google.com/tpu",
        type_label="cloud.google.com/gke-tpu-accelerator",
        topology_label="cloud.google.com/gke-tpu-topology",
        chips_per_host_label="cloud.google.com/gke-accelerator-count",
    ),
}


@dataclass(frozen=True)
class Shape:
    """One topology of an accelerator."""

    topology: str
    chips_per_host: tuple[int, ...]
    """Machine sizes that make this topology; the first is the default. More than one: the topology is ambiguous."""

    @property
    def chips(self) -> int:
        """Chips of one slice."""
        return prod(int(side) for side in self.topology.split("x"))


@dataclass(frozen=True)
class Family:
    """Accelerators of one type."""

    shapes: tuple[Shape, ...]
    memory_gib: int
    """High-bandwidth memory of one chip."""
    hardware: Hardware = "tpu"

    @property
    def topologies(self) -> list[str]:
        """Their topologies, the smallest first."""
        return [shape.topology for shape in self.shapes]


def _pods(chips_per_host: int, *topologies: str) -> tuple[Shape, ...]:
    return tuple(Shape(topology, (chips_per_host,)) for topology in topologies)


_SINGLE_HOST = (Shape("1x1", (1,)), Shape("2x2", (4,)))
# 8 chips are one VM of 8 or two of 4: one VM by default, since multi-host serving is what vLLM can't rely on.
_ONE_OR_TWO_HOSTS = (Shape("2x4", (8, 4)),)
_PODS_OF_4 = _pods(4, "4x4", "4x8", "8x8", "8x16", "16x16")
_V4 = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x12", "8x8x16", "8x16x16")
_V5P = (
    "2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16", "8x16x16", "16x16x16", "16x16x24",
)  # fmt: skip
_V7X = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16", "8x16x16")

ACCELERATORS: dict[str, Family] = {
    "tpu-v4-podslice": Family(_pods(4, *_V4), memory_gib=32),
    "tpu-v5-lite-podslice": Family(_SINGLE_HOST + _ONE_OR_TWO_HOSTS + _PODS_OF_4, memory_gib=16),
    "tpu-v5-lite-device": Family((*_SINGLE_HOST, Shape("2x4", (8,))), memory_gib=16),
    "tpu-v5p-slice": Family(_pods(4, *_V5P), memory_gib=95),
    "tpu-v6e-slice": Family(_SINGLE_HOST + _ONE_OR_TWO_HOSTS + _PODS_OF_4, memory_gib=32),
    "tpu7x": Family((Shape("1x1x1", (1,)), *_pods(4, *_V7X)), memory_gib=192),
}
"""By the value of the nodes' type label."""


def shape_of(accelerator_type: str, topology: str) -> Shape:
    """The table's row. Raises KeyError for a pair that the table doesn't have."""
    for shape in ACCELERATORS[accelerator_type].shapes:
        if shape.topology == topology:
            return shape
    raise KeyError(topology)
