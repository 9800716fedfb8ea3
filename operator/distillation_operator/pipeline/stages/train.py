"""The training stages: each a JobSet that trains the student from the checkpoint before it."""

from collections.abc import Iterable
from math import prod
from typing import assert_never

from distillation_api import contract
from distillation_api.contract import TrainProgram
from distillation_api.spec import LogitMatching, SupervisedFineTuning, TrainingStage
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.names import PREVIEW
from distillation_operator.pipeline.placement import Placement, on_cpu, on_slice
from distillation_operator.pipeline.stage import Stage


def add_training(
    graph: Builder,
    stage: TrainingStage,
    start: Stage,
    student: Stage,
    packed: Stage,
    teacher: Stage | None,
    after: Iterable[Stage],
    is_preview: bool = False,
) -> Stage:
    """One training stage from the checkpoint of ``start``. ``teacher``: its checkpoint, where logits are matched."""
    placement = training_placement(graph, stage)
    program = TrainProgram(
        start=start.output,
        tokenizer=student.output,
        data=packed.output,
        sequences_per_step=sequences_per_step(stage, placement),
        objective=_objective(stage, teacher),
        per_device_batch_size=stage.per_device_batch_size,
        gradient_accumulation_steps=stage.gradient_accumulation_steps,
        max_target_length=stage.max_target_length,
        learning_rate=stage.learning_rate,
        warmup_steps_fraction=stage.warmup_steps_fraction,
        checkpoint_period=stage.checkpoint_period,
        packing=stage.packing,
        dtype=stage.dtype,
        weight_dtype=stage.weight_dtype,
        parallelism=mesh(stage, placement),
        slices=placement.slices,
        hardware=placement.hardware,
        hosts=placement.hosts,
        max_text=stage.max_text or {},
        max_text_unlisted=stage.max_text_unlisted or {},
        measures=True if is_preview else None,
    )
    name = f"train-{stage.name}"
    return graph.add(PREVIEW + name if is_preview else name, program, "trainer", placement, after)


def sequences_per_step(stage: TrainingStage, placement: Placement) -> int:
    """Of one optimizer step. A batch below one row per device is one row per device: MaxText loads that."""
    devices = placement.slices * placement.devices_per_slice
    return max(devices, int(devices * stage.per_device_batch_size)) * stage.gradient_accumulation_steps


def training_placement(graph: Builder, stage: TrainingStage) -> Placement:
    """The machines of a training stage."""
    training = graph.spec.training
    if training.accelerator is not None:
        return on_slice(training.accelerator, training.resources)
    return on_cpu(training.resources, stage.hosts or 1)


def mesh(stage: TrainingStage, placement: Placement) -> dict[str, int]:
    """The axes of one slice, by MaxText's names; FSDP over all devices unless something else is asked for."""
    devices = placement.devices_per_slice
    return _mesh(stage.parallelism.sizes(), devices) if stage.parallelism else {"fsdp": devices}


def _objective(stage: TrainingStage, teacher: Stage | None) -> contract.Objective:
    match stage.objective_settings():
        case SupervisedFineTuning():
            return contract.SupervisedFineTuning()
        case LogitMatching() as asked:
            assert teacher is not None, "the graph converts it for such a stage"
            return contract.LogitMatching(teacher=teacher.output, **asked.model_dump())
        case unknown:
            assert_never(unknown)


def _mesh(sizes: dict[str, int], devices: int) -> dict[str, int]:
    """The axes with the one of -1 as what is left of the devices of a slice."""
    known = prod(size for size in sizes.values() if size > 0)
    return {axis: size if size > 0 else devices // known for axis, size in sizes.items()}
