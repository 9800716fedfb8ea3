"""The Jobs and JobSets of stages that are complete: their ends are bookkeeping, and may come late, badly or never."""

from collections.abc import Iterable, Iterator

from distillation_api import reasons
from distillation_api.status import StageStatus
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.observed import Child, ChildState, Observed
from distillation_operator.pipeline.status.pen import with_state


def live_children(stages: Iterable[StageStatus], observed: Observed) -> tuple[str, ...]:
    """Names of all children whose pods may run. One that has done its work and is about to end isn't among them: it
    would take its pods and their logs with it.
    """
    complete = {stage.name for stage in stages if stage.state == "Complete"}
    return tuple(
        child.name
        for child in observed.children.values()
        if child.live and not (child.stage in complete and _is_about_to_end(child, observed))
    )


def repeating_children(stages: Iterable[StageStatus], observed: Observed) -> tuple[str, ...]:
    """Names of live children of complete stages that would do the work again: their pods were removed before their
    controller had seen how they ended, so that it makes others, or their queue holds them until it makes some.
    """
    return tuple(
        child.name
        for _, child in _of_complete(stages, observed)
        if child.live and not _is_about_to_end(child, observed)
    )


def with_late_failures(stages: Iterable[StageStatus], observed: Observed) -> list[StageStatus]:
    """The stages, where their Job or JobSet has failed after the work was done with a warning of that."""
    stages = list(stages)
    failed = {
        stage.name: child
        for stage, child in _of_complete(stages, observed)
        if child.state is ChildState.FAILED and child.attempt == stage.attempt and stage.reason is None
    }
    return [_with_warning(stage, failed[stage.name]) if stage.name in failed else stage for stage in stages]


def _of_complete(stages: Iterable[StageStatus], observed: Observed) -> Iterator[tuple[StageStatus, Child]]:
    for stage in stages:
        if stage.state == "Complete":
            for child in observed.of_stage(stage.name):
                yield stage, child


def _is_about_to_end(child: Child, observed: Observed) -> bool:
    computes = any(pod.alive and child.owns(pod) for pod in observed.pods_of(child.name))
    return child.state is ChildState.ACTIVE and not computes


def _with_warning(stage: StageStatus, child: Child) -> StageStatus:
    why = f": {child.message}" if child.message else "."
    message = f"{child.name} failed after its pods had done the work, which stands{why}"
    return with_state(
        stage,
        "Complete",
        Cause.of(reasons.CHILD_FAILED_LATER, f"{stage.message} {message}" if stage.message else message),
    )
