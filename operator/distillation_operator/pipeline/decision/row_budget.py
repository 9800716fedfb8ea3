"""Whether a training stage has rows enough, decided as soon as they are counted: before an accelerator is asked for."""

from collections.abc import Mapping

from distillation_api import reasons
from distillation_api.contract import GenerateProgram, PackProgram
from distillation_api.status import StageStatus
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.graph import Pipeline
from distillation_operator.pipeline.stage import Stage


def check_row_budget(stage: Stage, pipeline: Pipeline, statuses: Mapping[str, StageStatus]) -> Cause | None:
    """What is wrong with a training's steps for the rows that its data can have; None while that isn't known.

    ``stage``: packs these rows. ``statuses``: of the stages before it. A sequence may hold several rows, so this finds
    only what is certain; the stage's program looks again with the tokens counted.
    """
    program = stage.program
    if not isinstance(program, PackProgram) or program.first_rows is not None:
        return None
    rows = _rows(program, pipeline, statuses)
    if rows is None:
        return None
    had = f"{rows} training rows"
    if program.data.train_on == "EveryAssistantTurn":
        had = f"at most {had} (one for each answer)"
    batch = program.sequences_per_step
    epochs = program.epochs or 1
    if rows < batch:
        return Cause.of(
            reasons.TOO_FEW_ROWS,
            f"{program.data.kind} has {had}, one step reads {batch} (perDeviceBatchSize on all devices, times "
            "gradientAccumulationSteps); lower them or give more rows.",
        )
    if program.steps is not None and program.steps * batch > rows * epochs:
        return Cause.of(
            reasons.TOO_FEW_ROWS,
            f"{program.steps} steps of {batch} rows read {program.steps * batch}, but {program.data.kind} has {had}, "
            f"read at most {_times(epochs)}; lower steps to {rows * epochs // batch} or set epochs to "
            f"{-(-program.steps * batch // rows)}.",
        )
    return None


def _times(epochs: int) -> str:
    return "once" if epochs == 1 else f"{epochs} times"


def _rows(program: PackProgram, pipeline: Pipeline, statuses: Mapping[str, StageStatus]) -> int | None:
    """At most this many rows; exact once the teacher has answered."""
    if program.data.train_on == "EveryAssistantTurn":
        # Where the template renders earlier answers otherwise than the last, each becomes a row of its own.
        return _count(statuses, pipeline.prepare_dataset, "answers")
    prepared = _count(statuses, pipeline.prepare_dataset)
    if program.data.kind == "OriginalDataset":
        return prepared
    answered = _count(statuses, pipeline.generate)
    if answered is not None or prepared is None:
        return answered
    generate = pipeline.generate.program
    assert isinstance(generate, GenerateProgram)
    return prepared * generate.sampling.samples_per_prompt


def _count(statuses: Mapping[str, StageStatus], stage: Stage, name: str = "train") -> int | None:
    status = statuses.get(stage.name)
    return status.counts.get(name) if status and status.state == "Complete" and status.counts else None
