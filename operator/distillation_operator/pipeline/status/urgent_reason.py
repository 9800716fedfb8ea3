"""The one reason of a job that a list of jobs has room for: why it failed, or what keeps it from going on."""

from collections.abc import Iterable, Sequence

from distillation_api import reasons
from distillation_api.status import StageState, StageStatus
from distillation_operator.pipeline.cause import Cause

_BLOCKING: tuple[StageState, ...] = ("Pending", "Running", "Queued")
"""States in which a reason is of something in the way, the worst first."""
_OF_EVERY_START = {reasons.CREATED.name, reasons.PODS_STARTING.name}
"""What each stage goes through."""


def urgent_reason(stages: Sequence[StageStatus], suspension: Cause | None) -> str | None:
    """The most urgent reason; None when all is well. ``suspension``: why no pod may run."""
    failed = next((stage for stage in stages if stage.state == "Failed"), None)
    if failed is not None:
        return failed.reason or reasons.STAGE_FAILED.name
    if suspension is not None and any(stage.state != "Complete" for stage in stages):
        return suspension.reason
    blocking = (reason for state in _BLOCKING for reason in _reasons_of(stages, state))
    return next(blocking, None) or _warning_of_end(stages)


def _reasons_of(stages: Iterable[StageStatus], state: StageState) -> Iterable[str]:
    told = (stage.reason for stage in stages if stage.state == state)
    return (reason for reason in told if reason is not None and reason not in _OF_EVERY_START)


def _warning_of_end(stages: Iterable[StageStatus]) -> str | None:
    """What a complete job warns of; what a storage lacks costs it nothing."""
    complete = _reasons_of(stages, "Complete")
    return next((reason for reason in complete if reason == reasons.DEGENERATE_ANSWERS.name), None)
