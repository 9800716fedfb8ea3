"""The guide as a dataflow graph: a spec becomes stages, in an order in which each comes after all that it reads."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from distillation_api.spec import DistillationJobSpec
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.names import PREVIEW
from distillation_operator.pipeline.recorded_outputs import RecordedOutput
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.stages.check_tokenizers import add_check_tokenizers
from distillation_operator.pipeline.stages.convert import add_convert_student, add_convert_teacher
from distillation_operator.pipeline.stages.evaluate import add_evaluate
from distillation_operator.pipeline.stages.export import add_export
from distillation_operator.pipeline.stages.fetch import add_fetch_student, add_fetch_teacher
from distillation_operator.pipeline.stages.generate import add_generate
from distillation_operator.pipeline.stages.pack import add_pack
from distillation_operator.pipeline.stages.preflight import add_preflight
from distillation_operator.pipeline.stages.prepare import add_prepare_dataset
from distillation_operator.pipeline.stages.preview import Shared, add_preview
from distillation_operator.pipeline.stages.publish import add_publish
from distillation_operator.pipeline.stages.train import add_training


@dataclass(frozen=True, kw_only=True)
class Pipeline(Mapping[str, Stage]):
    """All stages of a spec, by name and in dataflow order, and which of them plays which part."""

    stages: Mapping[str, Stage]
    prepare_dataset: Stage
    generate: Stage
    export: Stage
    """Of the student as it is after the last training stage."""
    evaluate: Stage
    publish: Stage | None
    preview: Stage | None = None
    """The last stage of the preview, the gate of the real work."""

    def is_held_by_preview(self, stage: Stage) -> bool:
        """Whether it is real work, which the preview's end lets through."""
        return self.preview is not None and self.preview.name in stage.needs

    def __getitem__(self, name: str) -> Stage:
        return self.stages[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)


@dataclass(frozen=True)
class Shape:
    """Which stages a pipeline has beyond those that every spec of its kind has."""

    has_preflight: bool
    has_preview: bool


def shape_of(spec: DistillationJobSpec, recorded: Mapping[str, RecordedOutput], begun: Set[str]) -> Shape:
    """The shape that a job's pipeline has by what it has done so far; the arguments are ``build_pipeline``'s."""
    started = {*recorded, *begun}
    is_tried = f"{PREVIEW}evaluate" in recorded
    return Shape(
        # A job that an operator without this gate has brought further than here isn't held up by it.
        has_preflight="preflight" in started or "generate" not in started,
        # What has begun isn't held up by a preview that was asked for too late.
        has_preview=spec.preview is not None and (is_tried or started.isdisjoint(_real_work(spec))),
    )


def build_pipeline(
    spec: DistillationJobSpec,
    recorded: Mapping[str, RecordedOutput] | None = None,
    begun: Set[str] = frozenset(),
) -> Pipeline:
    """The stages of a spec. ``recorded``: what is a fact of those that have ended or run; ``begun``: those that were
    ever started.
    """
    return build_shape(spec, recorded or {}, shape_of(spec, recorded or {}, begun))


def build_shape(spec: DistillationJobSpec, recorded: Mapping[str, RecordedOutput], shape: Shape) -> Pipeline:
    """The stages of a spec in a shape that is known; ``recorded`` as for ``build_pipeline``."""
    graph = Builder(spec, recorded)
    teacher, student = add_fetch_teacher(graph), add_fetch_student(graph)
    dataset = add_prepare_dataset(graph)
    converted = add_convert_student(graph, student)
    # Before any accelerator is asked for.
    gates: tuple[Stage, ...] = ()
    if shape.has_preflight:
        gates = (add_preflight(graph, teacher, student, dataset),)
    converted_teacher = None
    if spec.training.needs_teacher_logits:
        gates = (*gates, add_check_tokenizers(graph, teacher, student))
        converted_teacher = add_convert_teacher(graph, teacher, gates)
    preview = None
    if spec.preview is not None and shape.has_preview:
        shared = Shared(teacher, student, dataset, converted, converted_teacher)
        preview = add_preview(graph, spec.preview, shared, gates)
        gates = (*gates, preview)
    # The evaluation is on the teacher's answers to the holdout, so the teacher answers whatever the stages train on.
    generated = add_generate(graph, teacher, dataset, gates)
    checkpoint = converted
    exports: dict[str, Stage] = {}
    for stage in spec.training.stages:
        packed = add_pack(graph, stage, student, dataset, generated, gates)
        checkpoint = add_training(graph, stage, checkpoint, student, packed, converted_teacher, gates)
        exports[stage.name] = add_export(graph, stage, checkpoint, student)
    exported = exports.pop(spec.training.stages[-1].name)
    evaluated = add_evaluate(graph, teacher, student, generated, exports, exported)
    published = add_publish(graph, exported, evaluated, spec.export.to) if spec.export.to is not None else None
    return Pipeline(
        stages=graph.stages,
        prepare_dataset=dataset,
        generate=generated,
        export=exported,
        evaluate=evaluated,
        publish=published,
        preview=preview,
    )


def _real_work(spec: DistillationJobSpec) -> set[str]:
    """Names of the stages that a preview holds up."""
    return {"generate", *(f"{kind}-{stage.name}" for kind in ("pack", "train") for stage in spec.training.stages)}
