"""What reports and model cards tell of the stages before."""

from distillation_api.contract import GenerateProgram, Lineage, ReportedStage
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.stages.fetch import model_source
from distillation_operator.pipeline.stages.prepare import dataset_source


def lineage(graph: Builder, *ended: Stage) -> Lineage:
    """What the student is made of: the sources, and the stages that have ended when these have; no preview's."""
    spec = graph.spec
    return Lineage(
        teacher=model_source(spec.teacher.source),
        student=model_source(spec.student.source),
        dataset=dataset_source(spec.dataset.source),
        stages=[reported(stage) for stage in graph.all_before(*ended) if not stage.is_of_preview],
    )


def reported(stage: Stage) -> ReportedStage:
    """A stage as a report tells of it."""
    shards = stage.program.shards if isinstance(stage.program, GenerateProgram) else None
    outputs = [stage.output] if shards is None else [f"{stage.output}/shard-{index}" for index in range(shards)]
    return ReportedStage(name=stage.name, outputs=outputs, chips=stage.placement.chips * (shards or 1))
