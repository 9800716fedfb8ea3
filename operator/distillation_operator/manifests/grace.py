"""The time between SIGTERM and SIGKILL of a pod: what its node gives, and what a training's last checkpoint needs."""

from typing import Any

from distillation_api.contract import GRACE_SECONDS, GRACE_SECONDS_ENV
from distillation_api.spec import DistillationJobSpec
from distillation_operator.pipeline.stage import Stage

ON_SPOT = 15
"""Of the half minute that a Spot VM has to live; GKE cuts what is more (docs/gke.md)."""
OF_TRAINING = 600
"""On chips that aren't taken away without notice: before maintenance GKE waits for up to an hour. A trainer that has
saved ends at once; one that hangs holds its chips for so long."""

Object = dict[str, Any]


def grace_seconds(spec: DistillationJobSpec, stage: Stage) -> int:
    """Seconds of a stage's pods."""
    asked = spec.training.termination_grace_period_seconds
    if stage.is_training and asked is not None:
        return asked
    accelerator = stage.placement.accelerator
    if accelerator is not None and accelerator.provisioning == "Spot":
        return ON_SPOT
    return OF_TRAINING if stage.is_training and accelerator is not None else GRACE_SECONDS


def grace_variable(spec: DistillationJobSpec, stage: Stage) -> list[Object]:
    """What a training is told of it, where it isn't the usual."""
    seconds = grace_seconds(spec, stage)
    if not stage.is_training or seconds == GRACE_SECONDS:
        return []
    return [{"name": GRACE_SECONDS_ENV, "value": str(seconds)}]
