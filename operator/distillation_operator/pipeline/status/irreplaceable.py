"""What of a status no later decision would find again, and what somebody waits for: it is written at once."""

from distillation_api.status import Attempts, DistillationJobStatus, StageStatus

_SAYS_SO = ("Accepted", "Previewed", "Stalled")


def cannot_wait(before: DistillationJobStatus | None, after: DistillationJobStatus) -> bool:
    """Whether ``after`` is to be written at once. ``before``: what is written.

    Ends, stops and answers to the user's changes are waited for. An attempt that has failed shows no more once the next
    one has begun.
    """
    known = before or DistillationJobStatus()
    if after.has_ended or (known.phase == "Suspended") != (after.phase == "Suspended"):
        return True
    if before is not None and _answer(before) != _answer(after):
        return True
    if (known.last_failures, known.last_retry_request) != (after.last_failures, after.last_retry_request):
        return True
    counted = {stage.name: _counted(stage) for stage in known.stages}
    return any(counted.get(stage.name, _NOTHING) != _counted(stage) for stage in after.stages)


_NOTHING = (0, Attempts(), None, None)


def _counted(stage: StageStatus) -> tuple[object, ...]:
    return stage.attempt, stage.attempts, stage.shard_retries, stage.away_since


def _answer(status: DistillationJobStatus) -> tuple[object, ...]:
    said = {condition.type for condition in status.conditions if condition.status == "True"}
    return status.observed_generation, said.intersection(_SAYS_SO)
