"""The stage evaluate: scores of the student before and after, the report, and the gate."""

from collections.abc import Mapping

from distillation_api.contract import EvaluateProgram, GenerateProgram
from distillation_api.spec import DETERMINING, DistillationJobSpec
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.names import PREVIEW
from distillation_operator.pipeline.placement import on_cpu
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.stages.lineage import reported


def add_evaluate(
    graph: Builder,
    teacher: Stage,
    student: Stage,
    generated: Stage,
    between: Mapping[str, Stage],
    exported: Stage,
    is_preview: bool = False,
) -> Stage:
    """The evaluation. ``between``: the exports after each training stage but the last, by training stage. That of a
    preview has no gate: a few steps teach nothing.
    """
    spec = graph.spec
    require = spec.evaluation.require if not is_preview else None
    assert isinstance(generated.program, GenerateProgram)
    program = EvaluateProgram(
        before=student.output,
        chat_template=spec.student.chat_template,
        chat_template_arguments=spec.student.chat_template_arguments or {},
        after=exported.output,
        completions=generated.output,
        shards=generated.program.shards,
        min_cross_entropy_drop=require.min_cross_entropy_drop if require else None,
        between={name: stage.output for name, stage in between.items()},
        teacher=teacher.output,
        reported=[reported(stage) for stage in graph.stages.values() if is_preview or not stage.is_of_preview],
        spec=_determining(spec),
        measures=True if is_preview else None,
    )
    placement = on_cpu(spec.evaluation.resources or spec.conversion.resources)
    return graph.add(f"{PREVIEW}evaluate" if is_preview else "evaluate", program, "converter", placement)


def _determining(spec: DistillationJobSpec) -> str:
    """The members that determine results, as JSON; where the student is published is none, nor the time to save."""
    others = {"export": {"to"}, "training": {"termination_grace_period_seconds"}}
    return spec.model_dump_json(by_alias=True, exclude_none=True, include=set(DETERMINING), exclude=others)
