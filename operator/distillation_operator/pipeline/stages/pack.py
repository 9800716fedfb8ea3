"""The stages pack-NAME: on CPU, all that a training stage reads, as token ids in the order of its steps."""

from collections.abc import Iterable, Mapping

from distillation_api.contract import GenerateProgram, PackProgram, TrainData, TrainProgram
from distillation_api.spec import Preview, TrainingStage
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.names import PREVIEW
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.stages.train import sequences_per_step, training_placement


def add_pack(
    graph: Builder,
    stage: TrainingStage,
    student: Stage,
    dataset: Stage,
    generated: Stage,
    after: Iterable[Stage],
    preview: Preview | None = None,
) -> Stage:
    """The sequences of one training stage; of a ``preview`` those of a few steps, whatever few rows there are."""
    program = PackProgram(
        student=student.output,
        chat_template=graph.spec.student.chat_template,
        chat_template_arguments=graph.spec.student.chat_template_arguments or {},
        data=_data(graph, stage, dataset, generated),
        max_target_length=stage.max_target_length,
        packing=stage.packing,
        sequences_per_step=sequences_per_step(stage, training_placement(graph, stage)),
        steps=stage.steps if preview is None else min(preview.steps, stage.steps or preview.steps),
        epochs=stage.epochs if preview is None else None,
        first_rows=None if preview is None else preview.rows,
    )
    name = f"pack-{stage.name}"
    return graph.add(name if preview is None else PREVIEW + name, program, "converter", graph.cpu, after)


def packed_for(training: TrainProgram, pipeline: Mapping[str, Stage]) -> Stage:
    """The stage whose sequences a training stage reads."""
    return next(stage for stage in pipeline.values() if stage.output == training.data)


def _data(graph: Builder, stage: TrainingStage, dataset: Stage, generated: Stage) -> TrainData:
    if stage.data == "OriginalDataset":
        return TrainData(kind=stage.data, dataset=dataset.output, train_on=stage.train_on)
    assert isinstance(generated.program, GenerateProgram)
    return TrainData(kind=stage.data, completions=generated.output, shards=generated.program.shards)
