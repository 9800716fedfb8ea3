"""The stage publish: the exported student where users want it, once the gate has passed."""

from distillation_api.contract import PublishProgram
from distillation_api.spec import ExportTarget
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.stages.lineage import lineage


def add_publish(graph: Builder, exported: Stage, evaluated: Stage, target: ExportTarget) -> Stage:
    """The copy, with the held-out scores on its card."""
    program = PublishProgram(
        model=exported.output,
        evaluated=evaluated.output,
        lineage=lineage(graph, exported, evaluated),
        to_gcs_uri=target.gcs.uri if target.gcs else None,
        to_path=target.path,
    )
    return graph.add("publish", program, "fetcher", graph.cpu)
