"""The stage generate: the teacher's answers, an Indexed Job of independent shards."""

from collections.abc import Iterable

from distillation_api.contract import GenerateProgram, Sampling
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.placement import Placement, on_cpu, on_slice
from distillation_operator.pipeline.stage import Stage


def add_generate(graph: Builder, teacher: Stage, dataset: Stage, after: Iterable[Stage]) -> Stage:
    """The answers to the training rows, where a stage trains on them, and to the holdout."""
    spec = graph.spec
    generation = spec.generation
    placement = generation_placement(graph)
    program = GenerateProgram(
        model=teacher.output,
        dataset=dataset.output,
        shards=generation.shards,
        chunk_rows=generation.chunk_rows,
        max_model_len=generation.max_model_len,
        sampling=Sampling(**generation.sampling.model_dump(exclude_none=True)),
        holdout_only=answers_holdout_only(graph),
        system_prompt=generation.system_prompt,
        chat_template=generation.chat_template,
        chat_template_arguments=generation.chat_template_arguments or {},
        reasoning=generation.reasoning,
        max_lost_share=generation.max_lost_share,
        tensor_parallelism=placement.devices_per_host,
    )
    return graph.add("generate", program, "teacher", placement, after)


def answers_holdout_only(graph: Builder) -> bool:
    """Whether no training stage reads the teacher's answers."""
    return all(stage.data != "TeacherCompletions" for stage in graph.spec.training.stages)


def generation_placement(graph: Builder) -> Placement:
    """The machine of one shard."""
    generation = graph.spec.generation
    if generation.accelerator is not None:
        return on_slice(generation.accelerator, generation.resources)
    return on_cpu(generation.resources)
