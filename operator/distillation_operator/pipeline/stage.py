"""A stage: one program, what it needs, and the machines that it runs on."""

from dataclasses import dataclass
from typing import Literal

from distillation_api.contract import Program, StageSpec
from distillation_operator.pipeline.names import is_of_preview
from distillation_operator.pipeline.placement import Placement

Image = Literal["fetcher", "converter", "teacher", "trainer"]


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

    @property
    def is_of_preview(self) -> bool:
        """True for a stage that tries on a few rows what another one does on all."""
        return is_of_preview(self.name)

    def spec(self) -> StageSpec:
        """What its program is asked to do."""
        return StageSpec(stage=self.name, fingerprint=self.fingerprint, output=self.output, program=self.program)
