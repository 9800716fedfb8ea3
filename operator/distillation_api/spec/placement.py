"""The machines that stages run on."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from distillation_api.accelerators import ACCELERATORS, CUBE, Family
from distillation_api.cel import Rule
from distillation_api.model import Model
from distillation_api.spec.pod import NodeSelector
from distillation_api.spec.types import Cpu, Memory, Name

_TWO_BY_FOUR = "2x4"


_AMBIGUOUS = [
    (kind, shape.topology, shape.chips_per_host)
    for kind, family in ACCELERATORS.items()
    for shape in family.shapes
    if shape.topology == _TWO_BY_FOUR
]


# string(), filter()[0] and map()[0] give strings of a length that the API server can't bound, and then it refuses to
# concatenate them: messages are made of literals and of fields with a maxLength.
_CHIPS_PER_HOST = "(self.chipsPerHost == 1 ? '1' : self.chipsPerHost == 4 ? '4' : '8')"
_ONE_HOST = sorted({topology for family in ACCELERATORS.values() for topology in family.one_host} - {_TWO_BY_FOUR})


def runs_on_one_host(accelerator: str) -> str:
    """CEL: one VM makes a slice of the accelerator."""
    return (
        f"({accelerator}.topology in {_ONE_HOST} || ({accelerator}.topology == '{_TWO_BY_FOUR}' && "
        f"(!has({accelerator}.chipsPerHost) || {accelerator}.chipsPerHost != 4)))"
    )


def devices_of(accelerator: str) -> str:
    """CEL: a list of one number, the devices of a slice."""
    several = {kind: family.devices_per_chip for kind, family in ACCELERATORS.items() if family.devices_per_chip > 1}
    factor = "".join(f"{accelerator}.type == '{kind}' ? {count} : " for kind, count in several.items())
    return f"{_sides_of(accelerator)}.map(d, (d.size() == 3 ? d[2] : 1) * d[1] * d[0] * ({factor}1))"


def _sides_of(accelerator: str) -> str:
    # A macro over a list of one is how CEL names a value.
    return f"[{accelerator}.topology.split('x').map(s, int(s))]"


_ONLY_SIZE = "(self.topology in ['1x1', '1x1x1'] ? 1 : 4)"


def _exists() -> str:
    """CEL: GKE has the topology for accelerators of this type."""
    by_topologies: dict[tuple[str, ...], list[str]] = {}
    for kind, family in ACCELERATORS.items():
        by_topologies.setdefault(tuple(family.topologies), []).append(kind)
    named = "".join(f"t in {kinds} ? {list(names)} : " for names, kinds in by_topologies.items())
    of_cubes = {kind: family.max_chips for kind, family in ACCELERATORS.items() if family.max_chips is not None}
    most = "".join(f"t == '{kind}' ? {chips} : " for kind, chips in of_cubes.items())
    return (
        f"[self.type].all(t, self.topology in ({named}['']) || {_sides_of('self')}.all(d, d.size() == 3 && "
        f"d.all(s, s % {CUBE} == 0) && d[0] <= d[1] && d[1] <= d[2] && d[0] * d[1] * d[2] <= ({most}0)))"
    )


def _fits_two_by_four() -> str:
    """CEL: VMs of these chips make the topology of which there is more than one kind."""
    sizes = "".join(f"self.type == '{kind}' ? self.chipsPerHost in {list(sizes)} : " for kind, _, sizes in _AMBIGUOUS)
    return f"({sizes}true)"


def _two_by_four_text() -> str:
    told = {kind: " or ".join(map(str, sizes)) for kind, _, sizes in _AMBIGUOUS}
    sizes = "".join(f"self.type == '{kind}' ? '{text}' : " for kind, text in told.items())
    return f"'chipsPerHost of ' + self.type + ' {_TWO_BY_FOUR} must be ' + ({sizes}'another')"


def _topologies(family: Family) -> str:
    named = ", ".join(family.topologies)
    if family.max_chips is None:
        return f"one of {named}"
    return f"one of {named} or AxBxC of multiples of {CUBE}, A <= B <= C, with at most {family.max_chips} chips"


class Accelerator(Model):
    """A TPU slice of GKE."""

    type: Literal[tuple(ACCELERATORS)]  # type: ignore[valid-type]
    """Value of the node label cloud.google.com/gke-tpu-accelerator."""
    topology: Annotated[
        str, StringConstraints(pattern=r"^[1-9][0-9]{0,2}x[1-9][0-9]{0,2}(x[1-9][0-9]{0,2})?$", max_length=12)
    ]
    """Value of the node label cloud.google.com/gke-tpu-topology; chips are its product."""
    chips_per_host: Literal[1, 4, 8] | None = None
    """Chips of one VM; asked for only where the topology is ambiguous (2x4 on v5e and v6e: 8 on one VM, the default, or
    4 on each of two)."""
    slices: Annotated[int, Field(ge=1, le=64)] = 1
    """Slices of a training stage (multi-slice over the data-centre network); several only of several hosts each."""
    provisioning: Literal["OnDemand", "Spot", "Reservation", "FlexStart", "FlexStartQueued"] = "OnDemand"
    """Spot nodes are cheaper and can be taken away; a disruption is retried without counting as a failure. Reservation
    takes the nodes of reservationName. FlexStart takes nodes of DWS flex-start, FlexStartQueued those that the queue
    asks for by a ProvisioningRequest."""
    reservation_name: Name | None = None
    """Value of the node label cloud.google.com/reservation-name; with provisioning Reservation, and only with it."""
    node_selector: NodeSelector | None = None
    """More labels of the nodes, beside and before those of pod.nodeSelector. With cloud.google.com/compute-class the
    class decides on type and topology, and must be of these."""

    rules: ClassVar[list[Rule]] = [
        Rule(
            "(self.provisioning == 'Reservation') == has(self.reservationName)",
            "reservationName must be set with provisioning Reservation, and goes with it only",
            field="reservationName",
            message_expression="self.provisioning == 'Reservation' ? "
            "'reservationName must be set with provisioning Reservation' : "
            "'reservationName goes with provisioning Reservation, not ' + self.provisioning",
        ),
        Rule(
            _exists(),
            "topology must be one of its type: "
            + "; ".join(f"of {kind} {_topologies(family)}" for kind, family in ACCELERATORS.items()),
            field="topology",
            message_expression="'topology of ' + self.type + ' must be ' + ("
            + "".join(f"self.type == '{kind}' ? '{_topologies(family)}' : " for kind, family in ACCELERATORS.items())
            + "'another') + ', not ' + self.topology",
        ),
        Rule(
            f"!has(self.chipsPerHost) || (self.topology == '{_TWO_BY_FOUR}' ? {_fits_two_by_four()} : "
            f"self.chipsPerHost == {_ONLY_SIZE})",
            f"chipsPerHost must be 1 for topologies 1x1 and 1x1x1, 8 or 4 for {_TWO_BY_FOUR}, and 4 for every other "
            "one",
            field="chipsPerHost",
            message_expression=f"(self.topology == '{_TWO_BY_FOUR}' ? {_two_by_four_text()} : "
            "'chipsPerHost of topology ' + self.topology + ' must be ' + "
            f"(self.topology in ['1x1', '1x1x1'] ? '1' : '4')) + ', not ' + {_CHIPS_PER_HOST}",
        ),
        Rule(
            f"self.slices == 1 || !{runs_on_one_host('self')}",
            "slices must be 1 for a topology of one host, of which GKE has no multi-slice; take a larger topology",
            field="slices",
            message_expression="'slices must be 1 for topology ' + self.topology + ' of one host, of which GKE has no "
            "multi-slice; take a larger topology'",
        ),
    ]


class Resources(Model):
    """CPU and memory of a pod. What is left out is of a pod with chips four fifths of its VM's, requested and without a
    limit (nothing where the job has a queue), and of another pod the default below."""

    cpu: Cpu | None = None
    """CPU request, e.g. 2 or 500m. Default on CPU: 2."""
    memory: Memory | None = None
    """Memory request and limit, e.g. 8Gi. Default on CPU: 8Gi."""
