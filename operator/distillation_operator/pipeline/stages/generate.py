"""The stage generate: the teacher's answers, an Indexed Job of independent shards."""

from collections.abc import Iterable

from distillation_api.contract import GenerateProgram, Sampling
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.placement import on_cpu, on_slice
from distillation_operator.pipeline.stage import Stage


def add_generate(graph: Builder, teacher: Stage, dataset: Stage, after: Iterable[Stage]) -> Stage:
    """The answers to the training rows, where a stage trains on them, and to the holdout."""
    spec = graph.spec
    generation = spec.generation
    accelerator = generation.accelerator
    placement = on_slice(accelerator, generation.resources) if accelerator else on_cpu(generation.resources)
    program = GenerateProgram(
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
        tensor_parallelism=max(placement.chips_per_host, 1),
    )
    return graph.add("generate", program, "teacher", placement, after)
