"""The stage preflight: what can be known of models and prompts before an accelerator is asked for."""

from distillation_api.contract import PlannedGeneration, PlannedTraining, PreflightProgram
from distillation_api.spec import TrainingStage
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.stage import Stage
from distillation_operator.pipeline.stages.generate import answers_holdout_only, generation_placement
from distillation_operator.pipeline.stages.train import mesh, training_placement

_BYTES = {"float32": 4, "bfloat16": 2}
_MOMENTS = {"adamw": 2, "adam_pax": 2, "muon": 1, "sgd": 0}
"""Numbers that an optimizer keeps for each parameter, at least."""


def add_preflight(graph: Builder, teacher: Stage, student: Stage, dataset: Stage) -> Stage:
    """A gate for all that asks for an accelerator."""
    spec = graph.spec
    program = PreflightProgram(
        teacher=teacher.output,
        student=student.output,
        dataset=dataset.output,
        student_chat_template=spec.student.chat_template,
        student_chat_template_arguments=spec.student.chat_template_arguments or {},
        generation=_generation(graph),
        training=[_training(graph, stage) for stage in spec.training.stages],
    )
    return graph.add("preflight", program, "converter", graph.cpu)


def _generation(graph: Builder) -> PlannedGeneration:
    generation = graph.spec.generation
    placement = generation_placement(graph)
    return PlannedGeneration(
        max_model_len=generation.max_model_len,
        max_tokens=generation.sampling.max_tokens,
        max_lost_share=generation.max_lost_share,
        holdout_only=answers_holdout_only(graph),
        tensor_parallelism=placement.devices_per_host,
        accelerator_gib=placement.host_gib,
        system_prompt=generation.system_prompt,
        chat_template=generation.chat_template,
        chat_template_arguments=generation.chat_template_arguments or {},
        reasoning=generation.reasoning,
    )


def _training(graph: Builder, stage: TrainingStage) -> PlannedTraining:
    placement = training_placement(graph, stage)
    axes = mesh(stage, placement)
    return PlannedTraining(
        name=stage.name,
        data=stage.data,
        train_on=stage.train_on,
        max_target_length=stage.max_target_length,
        runs_teacher=stage.objective == "LogitMatching",
        bytes_per_parameter=_bytes_per_parameter(stage),
        tensor_parallelism=axes.get("tensor", 1),
        weight_shards=placement.devices_per_slice // axes.get("data", 1),
        chip_gib=placement.device_gib,
    )


def _bytes_per_parameter(stage: TrainingStage) -> int:
    """What surely lies on the chips for each parameter all the time."""
    settings = stage.max_text or {}
    size = _BYTES[stage.weight_dtype]
    weights = 0 if settings.get("parameter_memory_host_offload") == "true" else size
    offloaded = settings.get("optimizer_memory_host_offload") == "true"
    return weights + (0 if offloaded else size * _MOMENTS[settings.get("opt_type", "adamw")])
