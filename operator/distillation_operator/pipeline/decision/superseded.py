"""Which children of earlier attempts go while their job runs: attempts that cost nothing are made without bound."""

from collections.abc import Iterable

from distillation_api.status import StageStatus
from distillation_operator.pipeline.observed import Child, Observed

KEPT_CHILDREN = 3
"""Ended children of a stage that stay beside its newest attempt, for whoever reads the logs of their pods."""


def superseded(recorded: Iterable[StageStatus], observed: Observed) -> tuple[str, ...]:
    """Names of ended children, the oldest of each stage. ``recorded``: the stages as the status had them before this
    decision: what a child before the attempt that stands there has proved and cost is in it.
    """
    return tuple(name for stage in recorded for name in _of_stage(stage, observed))


def _of_stage(stage: StageStatus, observed: Observed) -> Iterable[str]:
    ended = [child for child in observed.of_stage(stage.name) if _is_over(child, stage.attempt, observed)]
    return [child.name for child in ended[: max(0, len(ended) - KEPT_CHILDREN)] if not child.terminating]


def _is_over(child: Child, attempt: int, observed: Observed) -> bool:
    # Its pods would go with it.
    is_told = child.attempt < attempt and child.ended_at is not None
    return is_told and not any(pod.alive for pod in observed.pods_of(child.name))
