"""The guide as a dataflow graph: a spec becomes stages, in an order in which each comes after all that it reads."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod

from distillation_operator.api.contract import (
    CheckTokenizersProgram,
    ConvertProgram,
    EvaluateProgram,
    ExportProgram,
    FetchProgram,
    GenerateProgram,
    HuggingFaceRepo,
    Lineage,
    LogitMatching,
    PrepareProgram,
    Program,
    PublishProgram,
    ReportedStage,
    Sampling,
    Source,
    TrainData,
    TrainProgram,
)
from distillation_operator.api.spec import (
    DETERMINING,
    DatasetSource,
    DistillationJobSpec,
    ModelSource,
    TrainingStage,
)
from distillation_operator.api.spec import LogitMatching as LogitMatchingSpec
from distillation_operator.pipeline.fingerprint import fingerprint
from distillation_operator.pipeline.stages import Image, Placement, Stage, on_cpu, on_slice


@dataclass
class _Builder:
    """Stages so far; each new one gets its fingerprint from those that it names."""

    prefix: str
    stages: dict[str, Stage] = field(default_factory=dict)

    def add(
        self,
        name: str,
        program: Program,
        needs: tuple[str, ...],
        image: Image,
        placement: Placement,
        needs_token: bool = False,
    ) -> Stage:
        mark = fingerprint(program, {need: self.stages[need].fingerprint for need in needs})
        stage = Stage(
            name=name,
            program=program,
            needs=needs,
            image=image,
            placement=placement,
            fingerprint=mark,
            output=f"{self.prefix}/{name}/{mark}",
            needs_token=needs_token,
        )
        self.stages[name] = stage
        return stage


def build_pipeline(spec: DistillationJobSpec) -> Mapping[str, Stage]:
    """All stages of a spec, by name, in dataflow order."""
    graph = _Builder(spec.storage.prefix)
    cpu = on_cpu(spec.conversion.resources)
    teacher = graph.add(
        "fetch-teacher",
        FetchProgram(source=_model_source(spec.teacher.source), role="teacher"),
        (),
        "converter",
        cpu,
        needs_token=spec.teacher.source.hugging_face is not None,
    )
    student = graph.add(
        "fetch-student",
        FetchProgram(source=_model_source(spec.student.source), role="student"),
        (),
        "converter",
        cpu,
        needs_token=spec.student.source.hugging_face is not None,
    )
    dataset = graph.add(
        "prepare-dataset",
        _prepare(spec),
        (),
        "converter",
        cpu,
        needs_token=spec.dataset.source.hugging_face is not None,
    )
    converted = graph.add(
        "convert-student",
        ConvertProgram(model=student.output, max_text_model=spec.student.max_text_model, max_kl=spec.conversion.max_kl),
        (student.name,),
        "converter",
        cpu,
    )
    proved: tuple[str, ...] = (teacher.name, dataset.name)
    if _matches_logits(spec):
        _add_teacher_for_logits(graph, spec, cpu)
        # Before any accelerator is asked for.
        proved = (*proved, "check-tokenizers")
    # The evaluation is on the teacher's answers to the holdout, so the teacher answers whatever the stages train on.
    generated = graph.add("generate", _generate(spec, teacher, dataset), proved, "teacher", _generation_place(spec))
    last = converted
    exports: dict[str, Stage] = {}
    for stage in spec.training.stages:
        last = _add_training(graph, spec, stage, last)
        name = "export" if stage is spec.training.stages[-1] else f"export-{stage.name}"
        exports[stage.name] = graph.add(
            name,
            ExportProgram(
                checkpoint=last.output,
                student=student.output,
                max_kl=spec.conversion.max_kl,
                dtype=spec.export.dtype,
                lineage=_lineage(graph, last.name),
            ),
            (last.name, student.name),
            "converter",
            cpu,
        )
    exported = exports.pop(spec.training.stages[-1].name)
    require = spec.evaluation.require
    evaluated = graph.add(
        "evaluate",
        EvaluateProgram(
            before=student.output,
            after=exported.output,
            completions=generated.output,
            shards=spec.generation.shards,
            min_cross_entropy_drop=require.min_cross_entropy_drop if require else None,
            between={name: stage.output for name, stage in exports.items()},
            teacher=teacher.output,
            reported=[_reported(stage) for stage in graph.stages.values()],
            spec=_determining(spec),
        ),
        (teacher.name, student.name, generated.name, *(stage.name for stage in exports.values()), exported.name),
        "converter",
        on_cpu(spec.evaluation.resources or spec.conversion.resources),
    )
    if spec.export.to is not None:
        target = spec.export.to
        graph.add(
            "publish",
            PublishProgram(
                model=exported.output,
                evaluated=evaluated.output,
                lineage=_lineage(graph, exported.name, evaluated.name),
                to_gcs_uri=target.gcs.uri if target.gcs else None,
                to_path=target.path,
            ),
            (exported.name, evaluated.name),
            "converter",
            cpu,
        )
    return graph.stages


def _matches_logits(spec: DistillationJobSpec) -> bool:
    return any(stage.objective == "LogitMatching" for stage in spec.training.stages)


def _add_teacher_for_logits(graph: _Builder, spec: DistillationJobSpec, cpu: Placement) -> None:
    """What logit matching needs besides: the teacher as a MaxText checkpoint, and proof that the vocabularies agree."""
    teacher, student = graph.stages["fetch-teacher"], graph.stages["fetch-student"]
    graph.add(
        "check-tokenizers",
        CheckTokenizersProgram(teacher=teacher.output, student=student.output),
        (teacher.name, student.name),
        "converter",
        cpu,
    )
    model = spec.teacher.max_text_model
    assert model is not None, "the API asks for it"
    graph.add(
        "convert-teacher",
        ConvertProgram(model=teacher.output, max_text_model=model, trained=False, max_kl=spec.conversion.max_kl),
        (teacher.name, "check-tokenizers"),
        "converter",
        cpu,
    )


def _reported(stage: Stage) -> ReportedStage:
    shards = stage.program.shards if stage.program.kind == "generate" else None
    outputs = [stage.output] if shards is None else [f"{stage.output}/shard-{index}" for index in range(shards)]
    return ReportedStage(name=stage.name, outputs=outputs, chips=stage.placement.chips * (shards or 1))


def _lineage(graph: _Builder, *needs: str) -> Lineage:
    """What the student is made of: the sources, and the stages that have ended when these have."""
    sources = {}
    for role, name in (("teacher", "fetch-teacher"), ("student", "fetch-student"), ("dataset", "prepare-dataset")):
        program = graph.stages[name].program
        assert isinstance(program, FetchProgram | PrepareProgram)
        sources[role] = program.source
    before = _all_before(graph, needs)
    return Lineage(**sources, stages=[_reported(stage) for name, stage in graph.stages.items() if name in before])


def _all_before(graph: _Builder, names: Iterable[str]) -> set[str]:
    """Those stages and all that they need."""
    return {*names}.union(*(_all_before(graph, graph.stages[name].needs) for name in names))


def _determining(spec: DistillationJobSpec) -> str:
    """The members that determine results, as JSON; where the student is published is none of them."""
    return spec.model_dump_json(by_alias=True, exclude_none=True, include=set(DETERMINING), exclude={"export": {"to"}})


def _add_training(graph: _Builder, spec: DistillationJobSpec, stage: TrainingStage, start: Stage) -> Stage:
    dataset = graph.stages["prepare-dataset"]
    generated = graph.stages["generate"]
    student = graph.stages["fetch-student"]
    on_teacher = stage.data == "TeacherCompletions"
    accelerator = spec.training.accelerator
    hosts = stage.hosts or 1
    placement = (
        on_slice(accelerator, spec.training.resources) if accelerator else on_cpu(spec.training.resources, hosts)
    )
    devices = placement.hosts * max(placement.chips_per_host, 1)
    program = TrainProgram(
        start=start.output,
        tokenizer=student.output,
        data=TrainData(
            kind=stage.data,
            completions=generated.output if on_teacher else None,
            shards=spec.generation.shards if on_teacher else None,
            dataset=dataset.output,
        ),
        logit_matching=_logit_matching(graph, stage),
        steps=stage.steps,
        epochs=stage.epochs,
        per_device_batch_size=stage.per_device_batch_size,
        gradient_accumulation_steps=stage.gradient_accumulation_steps,
        max_target_length=stage.max_target_length,
        learning_rate=stage.learning_rate,
        warmup_steps_fraction=stage.warmup_steps_fraction,
        checkpoint_period=stage.checkpoint_period,
        packing=stage.packing,
        dtype=stage.dtype,
        weight_dtype=stage.weight_dtype,
        parallelism=_mesh(stage.parallelism.sizes(), devices) if stage.parallelism else {"fsdp": devices},
        slices=placement.slices,
        cpu_hosts=None if accelerator else hosts,
        max_text=stage.max_text or {},
        max_text_unlisted=stage.max_text_unlisted or {},
    )
    needs: tuple[str, ...] = (start.name, student.name, generated.name if on_teacher else dataset.name)
    if program.logit_matching is not None:
        needs = (*needs, "convert-teacher")
    return graph.add(f"train-{stage.name}", program, needs, "trainer", placement)


def _logit_matching(graph: _Builder, stage: TrainingStage) -> LogitMatching | None:
    if stage.objective != "LogitMatching":
        return None
    asked = stage.logit_matching or LogitMatchingSpec()
    return LogitMatching(teacher=graph.stages["convert-teacher"].output, **asked.model_dump())


def _mesh(sizes: dict[str, int], devices: int) -> dict[str, int]:
    """The axes with the one of -1 as what is left of the devices of a slice."""
    known = prod(size for size in sizes.values() if size > 0)
    return {axis: size if size > 0 else devices // known for axis, size in sizes.items()}


def _generation_place(spec: DistillationJobSpec) -> Placement:
    generation = spec.generation
    if generation.accelerator is None:
        return on_cpu(generation.resources)
    return on_slice(generation.accelerator, generation.resources)


def _generate(spec: DistillationJobSpec, teacher: Stage, dataset: Stage) -> GenerateProgram:
    generation = spec.generation
    return GenerateProgram(
        model=teacher.output,
        dataset=dataset.output,
        shards=generation.shards,
        chunk_rows=generation.chunk_rows,
        max_model_len=generation.max_model_len,
        sampling=Sampling(**generation.sampling.model_dump(exclude_none=True)),
        holdout_only=all(stage.data != "TeacherCompletions" for stage in spec.training.stages),
        system_prompt=generation.system_prompt,
        chat_template=generation.chat_template,
        reasoning=generation.reasoning,
        max_lost_share=generation.max_lost_share,
        tensor_parallelism=max(_generation_place(spec).chips_per_host, 1),
    )


def _prepare(spec: DistillationJobSpec) -> PrepareProgram:
    dataset = spec.dataset
    return PrepareProgram(
        source=_dataset_source(dataset.source),
        messages_column=dataset.messages_column,
        prompt_column=dataset.prompt_column,
        response_column=dataset.response_column,
        group_column=dataset.group_column,
        limit=dataset.limit,
        holdout=dataset.holdout,
    )


def _model_source(source: ModelSource) -> Source:
    hub = source.hugging_face
    return Source(
        hugging_face=HuggingFaceRepo(repo=hub.repo, revision=hub.revision) if hub else None,
        gcs_uri=source.gcs.uri if source.gcs else None,
        path=source.path,
    )


def _dataset_source(source: DatasetSource) -> Source:
    hub = source.hugging_face
    return Source(
        hugging_face=HuggingFaceRepo(repo=hub.repo, revision=hub.revision, split=hub.split) if hub else None,
        gcs_uri=source.gcs.uri if source.gcs else None,
        path=source.path,
    )
