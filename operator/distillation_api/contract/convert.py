"""What the stages convert-student and convert-teacher are asked."""

from typing import Literal

from distillation_api.contract.common import ProgramModel, StageOutput


class ConvertProgram(ProgramModel):
    """Convert a Hugging Face model directory to a MaxText Orbax checkpoint and verify its logits.

    Result outputs: ``checkpoint``, the directory that ``load_parameters_path`` takes. Result ``settings``: the MaxText
    settings (model_name, sizes, RoPE, ...) with which the checkpoint reads right; every later MaxText command takes
    them. Metrics: ``kl`` and ``top1Agreement`` against transformers on the same tokens.
    """

    kind: Literal["convert"] = "convert"
    model: StageOutput
    """Output directory of the fetch stage."""
    max_text_model: str | None = None
    """MaxText's name as the manifest has it; absent: what the fetch stage has found from config.json."""
    trained: bool = True
    """Whether it will be trained, and so converted back; a teacher is not."""
    max_kl: float = 0.01
    min_top1_agreement: float = 0.97
