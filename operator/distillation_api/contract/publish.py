"""What the stage publish is asked."""

from typing import ClassVar, Literal

from distillation_api.contract.common import Lineage, ProgramModel, StageOutput


class PublishProgram(ProgramModel):
    """Copy the exported model to where users want it, once the gate has passed, with the held-out scores on its card.

    Result outputs: ``model``.
    """

    report_only: ClassVar[set[str]] = {"lineage"}

    kind: Literal["publish"] = "publish"
    model: StageOutput
    """Output directory of the export stage."""
    evaluated: StageOutput | None = None
    """Output directory of the evaluation."""
    lineage: Lineage | None = None
    to_gcs_uri: str | None = None
    to_path: str | None = None
