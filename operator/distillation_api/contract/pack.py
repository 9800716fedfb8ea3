"""What a stage pack-NAME is asked."""

from typing import Literal

from pydantic import Field

from distillation_api.contract.common import ProgramModel, StageOutput
from distillation_api.contract.training_data import TrainData


class PackProgram(ProgramModel):
    """Lay out on CPU all that a training stage reads, as token ids in the order in which its steps read them.

    Result outputs: ``sequences``, a directory of Parquet files ``part-NNNNN.parquet`` of 4096 sequences each (the last
    one has the rest), in row groups of 64. Columns, each with ``maxTargetLength`` numbers: tokens, learnt (whether the
    student learns to say this token), positions (within its row), segments (the row's number in the sequence, from 1;
    padding is 0). ``manifest.json`` beside them tells what they hold. Counts: steps, sequences, rows, answers (that are
    learnt in these rows), of the rows promptTooLong (they teach nothing), answerCut, answersLeftOut (answers that begin
    beyond the length), tokens and trainedTokens (of all sequences); of the teacher's completions also asSampled
    (answers in the tokens that a teacher of the student's vocabulary has said) and comparedWithSampled (those of them
    that were compared in the written files). Metrics: efficiency (trained tokens over places).
    """

    kind: Literal["pack"] = "pack"
    student: StageOutput
    """Output directory of the fetch stage of the student."""
    chat_template: str | None = None
    """Instead of the student's own."""
    chat_template_arguments: dict[str, str] = Field(default_factory=dict)
    """Variables for the template, as users write them."""
    data: TrainData
    max_target_length: int
    packing: bool
    """Whether several rows share a sequence."""
    sequences_per_step: int
    """Of one optimizer step, on all devices and over all its batches."""
    steps: int | None = None
    """When absent, they follow from the rows and epochs."""
    epochs: int | None = None
    """How often each row may be read; 1 when absent."""
    first_rows: int | None = None
    """Only so many rows of the data, in a preview: each is read as often as the steps need, and the count ``rowsRead``
    tells how often that was in all."""
