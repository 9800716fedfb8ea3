"""The machines that a stage runs on."""

from dataclasses import dataclass

from distillation_api.accelerators import ACCELERATORS, PLATFORMS, Hardware, Machine, Platform
from distillation_api.spec import Accelerator, Resources


@dataclass(frozen=True)
class Placement:
    """The machines of one stage: ``slices`` times ``hosts`` pods, each with ``chips_per_host`` chips (0 on CPU)."""

    slices: int = 1
    hosts: int = 1
    chips_per_host: int = 0
    accelerator: Accelerator | None = None
    resources: Resources | None = None

    @property
    def hardware(self) -> Hardware:
        """What its programs compute on."""
        return "cpu" if self.accelerator is None else ACCELERATORS[self.accelerator.type].hardware

    @property
    def platform(self) -> Platform:
        """Its hardware under the names that Kubernetes and the libraries have for it."""
        return PLATFORMS[self.hardware]

    @property
    def memory(self) -> str | None:
        """Memory that the spec gives each pod; None where it leaves that out."""
        return None if self.resources is None else self.resources.memory

    @property
    def machine(self) -> Machine | None:
        """The VM of each pod; None on CPU, and where it isn't known."""
        if self.accelerator is None:
            return None
        return ACCELERATORS[self.accelerator.type].machines.get(self.chips_per_host)

    @property
    def host_gib(self) -> int | None:
        """Memory of all chips of one host; None on CPU."""
        if self.accelerator is None:
            return None
        return ACCELERATORS[self.accelerator.type].memory_gib * self.chips_per_host

    @property
    def device_gib(self) -> int | None:
        """Memory of one device; None on CPU."""
        return None if self.host_gib is None else self.host_gib // self.devices_per_host

    @property
    def pods(self) -> int:
        """Pods that run at the same time."""
        return self.slices * self.hosts

    @property
    def chips(self) -> int:
        """Chips of all pods."""
        return self.pods * self.chips_per_host

    @property
    def devices_per_host(self) -> int:
        """Devices of one pod: those of its chips, or on CPU its process."""
        if self.accelerator is None:
            return 1
        return self.chips_per_host * ACCELERATORS[self.accelerator.type].devices_per_chip

    @property
    def devices_per_slice(self) -> int:
        """Devices of one slice's mesh."""
        return self.hosts * self.devices_per_host


def on_cpu(resources: Resources | None, pods: int = 1) -> Placement:
    """Pods without accelerator."""
    return Placement(hosts=pods, resources=resources)


def on_slice(accelerator: Accelerator, resources: Resources | None) -> Placement:
    """All hosts of an accelerator's slices."""
    shape = ACCELERATORS[accelerator.type].shape(accelerator.topology)
    chips_per_host = accelerator.chips_per_host or shape.chips_per_host[0]
    return Placement(
        slices=accelerator.slices,
        hosts=shape.chips // chips_per_host,
        chips_per_host=chips_per_host,
        accelerator=accelerator,
        resources=resources,
    )
