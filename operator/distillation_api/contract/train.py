"""What a training stage is asked."""

from typing import Literal

from pydantic import Field

from distillation_api.accelerators import Hardware
from distillation_api.contract.common import ProgramModel, StageOutput
from distillation_api.contract.objectives import Objective
from distillation_api.model import Model

TrainOn = Literal["LastAssistantTurn", "EveryAssistantTurn"]


class TrainData(Model):
    """Which rows a training stage reads, and which answers in them it learns."""

    kind: Literal["TeacherCompletions", "OriginalDataset"]
    completions: StageOutput | None = None
    """Output directory of the generate stage (TeacherCompletions)."""
    shards: int | None = None
    """Number of shards of the generate stage (TeacherCompletions)."""
    dataset: StageOutput | None = None
    """Output directory of the prepare stage (OriginalDataset)."""
    train_on: TrainOn = "LastAssistantTurn"
    """EveryAssistantTurn (OriginalDataset) learns the answers inside the prompts too."""


class TrainProgram(ProgramModel):
    """Train the student with MaxText, from a converted or an earlier trained checkpoint: by its SFT trainer or, for
    the objective LogitMatching, by its distillation trainer.

    Runs on every host of every slice; host 0 verifies and writes the result. Result outputs: ``checkpoint``
    (``.../checkpoints/N/model_params``), ``history`` (JSONL: step, loss, learningRate, tokensPerSecondPerDevice, and
    klToTeacher for logit matching). Result ``settings`` are passed on. Counts: steps, rows, answers (that are learnt in
    these rows); of the rows that were tokenised before (checkedRows) promptTooLong (they teach nothing), answerCut, and
    answersLeftOut (answers that begin beyond the length). Metrics: loss (the last), firstLoss.
    """

    kind: Literal["train"] = "train"
    start: StageOutput
    """Output directory of the convert stage or of the training stage before."""
    tokenizer: StageOutput
    """Output directory of the fetch stage of the student."""
    chat_template: str | None = None
    """Instead of the student's own."""
    chat_template_arguments: dict[str, str] = Field(default_factory=dict)
    """Variables for the template, as users write them."""
    data: TrainData
    objective: Objective
    steps: int | None = None
    """When absent, they follow from the rows and epochs."""
    epochs: int | None = None
    """How often each row may be read; 1 when absent."""
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
