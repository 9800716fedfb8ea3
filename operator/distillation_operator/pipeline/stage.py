"""A stage: one program, what it needs, and the machines that it runs on."""

from dataclasses import dataclass
from typing import Literal

from distillation_api.accelerators import shape_of
from distillation_api.contract import Program, StageSpec
from distillation_api.spec import Accelerator, Resources

Image = Literal["converter", "teacher", "trainer"]


@dataclass(frozen=True)
class Placement:
    """The machines of one stage: ``slices`` times ``hosts`` pods, each with ``chips_per_host`` chips (0 on CPU)."""

    slices: int = 1
    hosts: int = 1
    chips_per_host: int = 0
    accelerator: Accelerator | None = None
    resources: Resources | None = None

    @property
    def pods(self) -> int:
        """Pods that run at the same time."""
        return self.slices * self.hosts

    @property
    def chips(self) -> int:
        """Chips of all pods."""
        return self.pods * self.chips_per_host


@dataclass(frozen=True)
class Asked:
    """What the pods of a stage were asked to write, and where: a fact that no newer operator's hash replaces."""

    fingerprint: str
    output: str | None = None
    """Folder inside the storage; where today's operator would put it, when nothing says."""


@dataclass(frozen=True)
class Stage:
    """One stage of a pipeline."""

    name: str
    program: Program
    needs: tuple[str, ...]
    """Names of the stages whose outputs it reads."""
    image: Image
    placement: Placement
    fingerprint: str
    output: str
    """Folder of its outputs inside the storage."""
    needs_token: bool = False
    """True when it may read a gated repository of the Hugging Face Hub."""

    @property
    def is_indexed(self) -> bool:
        """True for a stage of independent shards: an Indexed Job."""
        return self.program.kind == "generate"

    @property
    def is_training(self) -> bool:
        """True for a stage whose pods work as one: a JobSet."""
        return self.program.kind == "train"

    def spec(self) -> StageSpec:
        """What its program is asked to do."""
        return StageSpec(stage=self.name, fingerprint=self.fingerprint, output=self.output, program=self.program)


def on_cpu(resources: Resources | None, pods: int = 1) -> Placement:
    """Pods without accelerator."""
    return Placement(hosts=pods, resources=resources)


def on_slice(accelerator: Accelerator, resources: Resources | None) -> Placement:
    """All hosts of an accelerator's slices."""
    shape = shape_of(accelerator.type, accelerator.topology)
    chips_per_host = accelerator.chips_per_host or shape.chips_per_host[0]
    return Placement(
        slices=accelerator.slices,
        hosts=shape.chips // chips_per_host,
        chips_per_host=chips_per_host,
        accelerator=accelerator,
        resources=resources,
    )
