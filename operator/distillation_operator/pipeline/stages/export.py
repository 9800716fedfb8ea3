"""The export stages: the student after a training stage, back in Hugging Face format."""

from distillation_api.contract import ExportProgram
from distillation_api.spec import TrainingStage
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.names import PREVIEW
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.stages.lineage import lineage


def add_export(
    graph: Builder, trained: TrainingStage, checkpoint: Stage, student: Stage, is_preview: bool = False
) -> Stage:
    """The export after one training stage; that after the last is the result."""
    spec = graph.spec
    is_last = trained is spec.training.stages[-1]
    program = ExportProgram(
        checkpoint=checkpoint.output,
        student=student.output,
        chat_template=spec.student.chat_template,
        chat_template_arguments=spec.student.chat_template_arguments or {},
        max_kl=spec.conversion.max_kl,
        dtype=spec.export.dtype,
        lineage=lineage(graph, checkpoint),
    )
    name = "export" if is_last else f"export-{trained.name}"
    return graph.add(PREVIEW + name if is_preview else name, program, "converter", graph.cpu)
