"""What a training stage is asked."""

from typing import Literal

from pydantic import Field

from distillation_api.accelerators import Hardware
from distillation_api.contract.common import ProgramModel, StageOutput
from distillation_api.contract.objectives import Objective


class TrainProgram(ProgramModel):
    """Train the student with MaxText, from a converted or an earlier trained checkpoint: by its SFT trainer or, for
    the objective LogitMatching, by its distillation trainer.

    Runs on every host of every slice; host 0 verifies and writes the result. Result outputs: ``checkpoint``
    (``.../checkpoints/N/model_params``), ``history`` (JSONL: step, loss, learningRate, tokensPerSecondPerDevice, and
    klToTeacher for logit matching). Result ``settings`` are passed on. Counts: steps, and what the stage pack-NAME
    counted of its rows. Metrics: loss (the last), firstLoss.
    """

    kind: Literal["train"] = "train"
    start: StageOutput
    """Output directory of the convert stage or of the training stage before."""
    tokenizer: StageOutput
    """Output directory of the fetch stage of the student."""
    data: StageOutput
    """Output directory of the stage pack-NAME: all that the steps read."""
    sequences_per_step: int
    """Of one optimizer step, on all devices and over all its batches."""
    objective: Objective
    per_device_batch_size: float
    gradient_accumulation_steps: int = 1
    """Batches of one optimizer step."""
    max_target_length: int
    learning_rate: float
    warmup_steps_fraction: float
    checkpoint_period: int
    packing: bool
    dtype: str
    weight_dtype: str
    parallelism: dict[str, int]
    """MaxText's ICI axes without prefix and suffix, e.g. {"fsdp": 4}."""
    slices: int = 1
    hardware: Hardware
    hosts: int = 1
    """Processes of one slice; on CPU each is one device."""
    max_text: dict[str, str] = Field(default_factory=dict)
    """MaxText's tuning settings, as users write them; the program gives them their types."""
    max_text_unlisted: dict[str, str] = Field(default_factory=dict)
    """Other settings of MaxText's, where the installation allows them."""
    measures: bool | None = None
    """True in a preview: the result tells what was measured (see ``Measurements``). Absent elsewhere, so that images of
    another version take it too."""
