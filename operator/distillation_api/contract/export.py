"""What an export stage is asked."""

from typing import ClassVar, Literal

from pydantic import Field

from distillation_api.contract.common import Lineage, ProgramModel, StageOutput


class ExportProgram(ProgramModel):
    """Convert the last checkpoint back to Hugging Face format, load it in transformers and compare logits.

    Result outputs: ``model``, a model directory in Hugging Face format with the student's tokenizer and chat template,
    a generation config that ends where the template ends an answer, and a model card. Metrics: ``kl``,
    ``top1Agreement``.
    """

    report_only: ClassVar[set[str]] = {"lineage"}

    kind: Literal["export"] = "export"
    checkpoint: StageOutput
    """Output directory of the last training stage."""
    student: StageOutput
    """Output directory of the fetch stage of the student: config and tokenizer."""
    chat_template: str | None = None
    """Instead of the student's own."""
    chat_template_arguments: dict[str, str] = Field(default_factory=dict)
    """Variables for the template, as users write them."""
    max_kl: float = 0.01
    min_top1_agreement: float = 0.97
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    lineage: Lineage | None = None
