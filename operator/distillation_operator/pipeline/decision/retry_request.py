"""A user's retry of a failed job: an annotation that names the stage and a nonce, which works once per nonce.

``kubectl annotate dj NAME distillation.dev/retry=train-one/$(date +%s) --overwrite``. The annotation is the user's and
is never written by us; that it has been heeded stands in the status.
"""

from distillation_api import reasons
from distillation_api.resource import DistillationJob
from distillation_api.status import Attempts, DistillationJobStatus, StageStatus

RETRY_ANNOTATION = "distillation.dev/retry"
LONGEST = 256


def request_of(job: DistillationJob) -> str | None:
    """The retry that is asked for and not yet heeded."""
    request = job.metadata.annotations.get(RETRY_ANNOTATION, "")[:LONGEST]
    heeded = job.status.heeded_retry if job.status else None
    return request if request and request != heeded else None


def reopened(status: DistillationJobStatus, request: str) -> tuple[DistillationJobStatus, str | None]:
    """The status with the failed stage ready for another attempt; or as it was, and why the request is of no use.

    Its failures and disruptions are counted anew; its finished work is kept.
    """
    name, slash, nonce = request.partition("/")
    heeded = status.model_copy(update={"heeded_retry": request})
    if not slash or not nonce:
        return heeded, f"{RETRY_ANNOTATION} is {request!r}; give STAGE/NONCE, e.g. train-one/2"
    failed = [stage.name for stage in status.stages if stage.state == "Failed"]
    if name not in failed:
        which = f"failed has {', '.join(failed)}" if failed else "no stage has failed"
        return heeded, f"{RETRY_ANNOTATION} names {name!r}; {which}"
    stages = [_again(stage) if stage.name == name else stage for stage in status.stages]
    return heeded.model_copy(update={"stages": stages, "phase": "Running", "completion_time": None}), None


def _again(stage: StageStatus) -> StageStatus:
    return stage.model_copy(
        update={
            "state": "Waiting",
            "reason": reasons.RETRIED_BY_USER.name,
            "message": None,
            "attempt": stage.attempt + 1,
            "attempts": Attempts(),
            "shard_retries": None,
            "completion_time": None,
            "progress": None,
        }
    )
