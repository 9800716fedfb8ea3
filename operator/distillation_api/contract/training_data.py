"""Which rows a training stage learns from."""

from typing import Literal

from distillation_api.contract.common import StageOutput
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
