"""The stages pack-NAME: on CPU, all that a training stage reads, as token ids in the order of its steps."""

from collections.abc import Iterable, Mapping

from distillation_api.contract import PackProgram, TrainData, TrainProgram
from distillation_api.spec import TrainingStage
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.stages.train import sequences_per_step, training_placement


def add_pack(
    graph: Builder,
    stage: TrainingStage,
    student: Stage,
    dataset: Stage,
    generated: Stage,
    after: Iterable[Stage],
) -> Stage:
    """The sequences of one training stage."""
    program = PackProgram(
        student=student.output,
        chat_template=graph.spec.student.chat_template,
        chat_template_arguments=graph.spec.student.chat_template_arguments or {},
        data=_data(graph, stage, dataset, generated),
        max_target_length=stage.max_target_length,
        packing=stage.packing,
        sequences_per_step=sequences_per_step(stage, training_placement(graph, stage)),
        steps=stage.steps,
        epochs=stage.epochs,
    )
    return graph.add(f"pack-{stage.name}", program, "converter", graph.cpu, after)


def packed_for(training: TrainProgram, pipeline: Mapping[str, Stage]) -> Stage:
    """The stage whose sequences a training stage reads."""
    return next(stage for stage in pipeline.values() if stage.output == training.data)


def _data(graph: Builder, stage: TrainingStage, dataset: Stage, generated: Stage) -> TrainData:
    if stage.data == "OriginalDataset":
        return TrainData(kind=stage.data, dataset=dataset.output, train_on=stage.train_on)
    return TrainData(kind=stage.data, completions=generated.output, shards=graph.spec.generation.shards)
