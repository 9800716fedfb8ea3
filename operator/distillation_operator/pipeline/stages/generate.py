"""The stage generate: the teacher's answers, an Indexed Job of independent shards."""

from collections.abc import Iterable

from distillation_api.contract import FirstRows, GenerateProgram, Sampling
from distillation_api.spec import Preview
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.names import PREVIEW
from distillation_operator.pipeline.placement import Placement, on_cpu, on_slice
from distillation_operator.pipeline.stage import Stage


def add_generate(
    graph: Builder, teacher: Stage, dataset: Stage, after: Iterable[Stage], preview: Preview | None = None
) -> Stage:
    """The answers to the training rows, where a stage trains on them, and to the holdout; of a ``preview`` to a few of
    each, by one shard, however many of them are lost.
    """
    spec = graph.spec
    generation = spec.generation
    placement = generation_placement(graph)
    program = GenerateProgram(
        model=teacher.output,
        dataset=dataset.output,
        shards=generation.shards if preview is None else 1,
        chunk_rows=generation.chunk_rows,
        max_model_len=generation.max_model_len,
        sampling=Sampling(**generation.sampling.model_dump(exclude_none=True)),
        holdout_only=answers_holdout_only(graph),
        system_prompt=generation.system_prompt,
        chat_template=generation.chat_template,
        chat_template_arguments=generation.chat_template_arguments or {},
        reasoning=generation.reasoning,
        max_lost_share=generation.max_lost_share if preview is None else 1.0,
        tensor_parallelism=placement.devices_per_host,
        first_rows=None if preview is None else FirstRows(train=preview.rows, holdout=preview.rows // 2),
    )
    return graph.add("generate" if preview is None else f"{PREVIEW}generate", program, "teacher", placement, after)


def answers_holdout_only(graph: Builder) -> bool:
    """Whether no training stage reads the teacher's answers."""
    return all(stage.data != "TeacherCompletions" for stage in graph.spec.training.stages)


def generation_placement(graph: Builder) -> Placement:
    """The machine of one shard."""
    generation = graph.spec.generation
    if generation.accelerator is not None:
        return on_slice(generation.accelerator, generation.resources)
    return on_cpu(generation.resources)
