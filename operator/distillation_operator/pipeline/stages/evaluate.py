"""The stage evaluate: scores of the student before and after, the report, and the gate."""

from collections.abc import Mapping

from distillation_api.contract import EvaluateProgram
from distillation_api.spec import DETERMINING, DistillationJobSpec
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.placement import on_cpu
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.stages.lineage import reported


def add_evaluate(
    graph: Builder, teacher: Stage, student: Stage, generated: Stage, between: Mapping[str, Stage], exported: Stage
) -> Stage:
    """The evaluation. ``between``: the exports after each training stage but the last, by training stage."""
    spec = graph.spec
    require = spec.evaluation.require
    program = EvaluateProgram(
        before=student.output,
        chat_template=spec.student.chat_template,
        chat_template_arguments=spec.student.chat_template_arguments or {},
        after=exported.output,
        completions=generated.output,
        shards=spec.generation.shards,
        min_cross_entropy_drop=require.min_cross_entropy_drop if require else None,
        between={name: stage.output for name, stage in between.items()},
        teacher=teacher.output,
        reported=[reported(stage) for stage in graph.stages.values()],
        spec=_determining(spec),
    )
    return graph.add("evaluate", program, "converter", on_cpu(spec.evaluation.resources or spec.conversion.resources))


def _determining(spec: DistillationJobSpec) -> str:
    """The members that determine results, as JSON; where the student is published is none, nor the time to save."""
    others = {"export": {"to"}, "training": {"termination_grace_period_seconds"}}
    return spec.model_dump_json(by_alias=True, exclude_none=True, include=set(DETERMINING), exclude=others)
