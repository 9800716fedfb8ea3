"""A preview: the stages that read rows, on a few of them, with the same images and machines. What reads none (models,
conversions, the dataset itself) is shared with the real work.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from distillation_api.spec import Preview
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.stages.evaluate import add_evaluate
from distillation_operator.pipeline.stages.export import add_export
from distillation_operator.pipeline.stages.generate import add_generate
from distillation_operator.pipeline.stages.pack import add_pack
from distillation_operator.pipeline.stages.train import add_training


@dataclass(frozen=True)
class Shared:
    """The stages that preview and real work both read."""

    teacher: Stage
    student: Stage
    dataset: Stage
    converted: Stage
    converted_teacher: Stage | None


def add_preview(graph: Builder, preview: Preview, shared: Shared, after: Iterable[Stage]) -> Stage:
    """The preview's stages; the last of them, the gate of the real work. ``after``: what is proved before any
    accelerator is asked for."""
    gates = tuple(after)
    student, stages = shared.student, graph.spec.training.stages
    generated = add_generate(graph, shared.teacher, shared.dataset, gates, preview)
    checkpoint = shared.converted
    for stage in stages:
        packed = add_pack(graph, stage, student, shared.dataset, generated, gates, preview)
        checkpoint = add_training(
            graph, stage, checkpoint, student, packed, shared.converted_teacher, gates, is_preview=True
        )
    exported = add_export(graph, stages[-1], checkpoint, student, is_preview=True)
    return add_evaluate(graph, shared.teacher, student, generated, {}, exported, is_preview=True)
