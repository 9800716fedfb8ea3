"""The hardware that stages run on, as one data table: pods, rules of the CRD, ``plan`` and the programs read it.

Source: GKE's "TPU topologies" tables and the machines' pages, as of 2026-11. Chips are the product of the topology,
hosts (VMs) are chips / chips per VM. A device is what JAX, MaxText's meshes and vLLM's tensor parallelism count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
        return prod(sides(self.topology))


@dataclass(frozen=True)
class Machine:
    """A VM with chips, by GKE's machine type."""

    cpus: int
    memory_gb: int


CUBE = 4
"""A side of the larger topologies of three dimensions is a multiple of this."""


@dataclass(frozen=True)
class Family:
    """Accelerators of one type."""

    shapes: tuple[Shape, ...]
    """Topologies that are named; all, or those below ``max_chips`` of whole cubes."""
    memory_gib: int
    """High-bandwidth memory of one chip."""
    devices_per_chip: int = 1
    max_chips: int | None = None
    """Of a slice AxBxC of whole cubes: sides are multiples of ``CUBE``, A <= B <= C; None: there are none."""
    machines: Mapping[int, Machine] = field(default_factory=dict)
    """By chips per host, as far as known."""
    hardware: Hardware = "tpu"

    @property
    def topologies(self) -> list[str]:
        """Those that are named, the smallest first."""
        return [shape.topology for shape in self.shapes]

    @property
    def one_host(self) -> list[str]:
        """Topologies that one VM makes by default."""
        return [shape.topology for shape in self.shapes if shape.chips == shape.chips_per_host[0]]

    def shape(self, topology: str) -> Shape:
        """The topology's shape. Raises KeyError for one that this type doesn't come in."""
        for shape in self.shapes:
            if shape.topology == topology:
                return shape
        if self.max_chips is None or not _is_of_cubes(sides(topology), self.max_chips):
            raise KeyError(topology)
        return Shape(topology, (_CHIPS_OF_3D,))


def sides(topology: str) -> list[int]:
    """The numbers of a topology."""
    return [int(side) for side in topology.split("x")]


def _is_of_cubes(lengths: list[int], max_chips: int) -> bool:
    multiples = all(length > 0 and length % CUBE == 0 for length in lengths)
    return len(lengths) == 3 and multiples and lengths == sorted(lengths) and prod(lengths) <= max_chips


def _pods(chips_per_host: int, *topologies: str) -> tuple[Shape, ...]:
    return tuple(Shape(topology, (chips_per_host,)) for topology in topologies)


_CHIPS_OF_3D = 4
_SINGLE_HOST = (Shape("1x1", (1,)), Shape("2x2", (4,)))
# 8 chips are one VM of 8 or two of 4: one VM by default, since multi-host serving is what vLLM can't rely on.
_ONE_OR_TWO_HOSTS = (Shape("2x4", (8, 4)),)
_2D = _SINGLE_HOST + _ONE_OR_TWO_HOSTS + _pods(4, "4x4", "4x8", "8x8", "8x16", "16x16")
_3D = _pods(_CHIPS_OF_3D, "2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4")

ACCELERATORS: dict[str, Family] = {
    "tpu-v4-podslice": Family(_3D, memory_gib=32, max_chips=4096, machines={4: Machine(240, 407)}),
    "tpu-v5-lite-podslice": Family(
        _2D, memory_gib=16, machines={1: Machine(24, 48), 4: Machine(112, 192), 8: Machine(224, 384)}
    ),
    "tpu-v5p-slice": Family(_3D, memory_gib=95, max_chips=6144, machines={4: Machine(208, 448)}),
    "tpu-v6e-slice": Family(
        _2D, memory_gib=32, machines={1: Machine(44, 176), 4: Machine(180, 720), 8: Machine(180, 1440)}
    ),
    # The CPUs of the machine with one chip aren't published.
    "tpu7x": Family(
        (Shape("1x1x1", (1,)), *_3D),
        memory_gib=192,
        devices_per_chip=2,
        max_chips=9216,
        machines={4: Machine(224, 960)},
    ),
}
"""By the value of the nodes' type label."""
