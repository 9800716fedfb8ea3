"""Why no pod of a job may run: the user's word, or a budget that is used."""

from distillation_api import reasons
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.status.chip_hours import SECONDS_PER_HOUR, chip_hours


def suspension(suspend: bool, max_chip_hours: float | None, used: int) -> Cause | None:
    """Why no pod may run, if so. ``used``: chip-seconds."""
    if suspend:
        return Cause.of(reasons.SUSPENDED_BY_USER)
    if max_chip_hours is None or used < max_chip_hours * SECONDS_PER_HOUR:
        return None
    return Cause.of(
        reasons.BUDGET_REACHED,
        f"{chip_hours(used)} chip-hours are used, budget.maxChipHours is {max_chip_hours:g}; finished work is kept, "
        "raise it to go on.",
    )
