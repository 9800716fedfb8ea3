"""What processes get of this machine: as many run side by side as their requests leave room for, as on a node."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from distillation_api.accelerators import PLATFORMS
from distillation_operator.manifests.quantities import number_of


@dataclass(frozen=True)
class Requests:
    """What one process asks for, or what there is of all."""

    cores: Fraction
    memory: Fraction
    """Bytes."""
    chips: int = 0

    def within(self, other: "Requests") -> "Requests":
        """At most what there is: who asks for more gets the whole machine."""
        return Requests(min(self.cores, other.cores), min(self.memory, other.memory), min(self.chips, other.chips))

    def missing(self, used: Iterable["Requests"], whole: "Requests") -> str | None:
        """What the machine lacks for this process while others run; None when there is room."""
        taken = list(used)
        free = Requests(
            whole.cores - sum(one.cores for one in taken),
            whole.memory - sum(one.memory for one in taken),
            whole.chips - sum(one.chips for one in taken),
        )
        lacks = []
        if self.cores > free.cores:
            lacks.append(f"{float(self.cores):g} cores, {float(free.cores):g} of {float(whole.cores):g} are free")
        if self.memory > free.memory:
            lacks.append(f"{_gib(self.memory)} of memory, {_gib(free.memory)} of {_gib(whole.memory)} are free")
        if self.chips > free.chips:
            lacks.append(f"{self.chips} chips, {free.chips} of {whole.chips} are free")
        return f"waits for room on this machine: it asks for {'; '.join(lacks)}" if lacks else None


def requests_of(resources: Mapping[str, Mapping[str, str]]) -> Requests:
    """The requests of a container's resources."""
    asked = resources.get("requests", {})
    chips = sum(int(asked[one.resource]) for one in PLATFORMS.values() if one.resource and one.resource in asked)
    return Requests(number_of(asked.get("cpu", "0")), number_of(asked.get("memory", "0")), chips)


def _gib(number: Fraction) -> str:
    return f"{float(number) / 2**30:.1f} GiB"
