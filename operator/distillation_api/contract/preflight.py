"""What the stage preflight is asked."""

from typing import Literal

from pydantic import Field

from distillation_api.contract.common import ProgramModel, StageOutput
from distillation_api.contract.training_data import TrainOn
from distillation_api.model import Model


class PlannedGeneration(Model):
    """What generate will be asked, as far as it can be refused before it has an accelerator."""

    max_model_len: int
    max_tokens: int
    """Longest answer."""
    max_lost_share: float
    holdout_only: bool = False
    """True when no training stage reads completions: then the teacher is asked the holdout's prompts alone."""
    tensor_parallelism: int = 1
    accelerator_gib: int | None = None
    """Memory of all chips of one replica; None on CPU."""
    system_prompt: str | None = None
    chat_template: str | None = None
    chat_template_arguments: dict[str, str] = Field(default_factory=dict)
    """Variables for the template, as users write them."""
    reasoning: Literal["StripClosed", "Keep", "RequireClosed"] = "StripClosed"


class PlannedTraining(Model):
    """What one training stage will be asked, as far as it can be refused before it has an accelerator."""

    name: str
    """As in ``training.stages[].name``."""
    data: Literal["TeacherCompletions", "OriginalDataset"]
    train_on: TrainOn = "LastAssistantTurn"
    max_target_length: int
    runs_teacher: bool = False
    """True for logit matching: the teacher's weights lie on the chips too."""
    bytes_per_parameter: int
    """Of the weights and what the optimizer keeps, as far as they lie on the chips."""
    tensor_parallelism: int = 1
    weight_shards: int = 1
    """Devices that one copy of the weights is spread over."""
    chip_gib: int | None = None
    """Memory of one device: of a chip, or of its half where it has two; None on CPU."""


class PreflightProgram(ProgramModel):
    """Tell on CPU what can be known before any accelerator is asked for: whether the teacher can be served and the
    student trained on these prompts. Verdicts are final, and each says what to change.

    Counts: read (prompts), kept, ``rejected.<reason>`` (prompts that the teacher can't be asked, or the student can't
    be trained on), ``promptFills.<training stage>`` (sampled prompts that leave no room for an answer); read = kept +
    all rejected. Outputs: none: what it says determines nothing that is made.
    """

    kind: Literal["preflight"] = "preflight"
    teacher: StageOutput
    """Output directory of the fetch stage of the teacher."""
    student: StageOutput
    """Output directory of the fetch stage of the student."""
    dataset: StageOutput
    """Output directory of the prepare stage."""
    student_chat_template: str | None = None
    student_chat_template_arguments: dict[str, str] = Field(default_factory=dict)
    generation: PlannedGeneration
    training: list[PlannedTraining]
