"""A user's retry of a failed job: an annotation that names the stage and a nonce, which works once per nonce.

``kubectl annotate dj NAME distillation.dev/retry=train-one/$(date +%s) --overwrite``. The annotation is the user's and
is never written by us; which request was honoured last stands in the status.
"""

from collections.abc import Mapping

from distillation_api import reasons
from distillation_api.status import Attempts, DistillationJobStatus, StageStatus
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.status.pen import rewrite_job, rewrite_stage, with_state

RETRY_ANNOTATION = "distillation.dev/retry"
LONGEST = 256


def pending_retry_request(annotations: Mapping[str, str], status: DistillationJobStatus) -> str | None:
    """The retry that is asked for and not yet honoured."""
    request = annotations.get(RETRY_ANNOTATION, "")[:LONGEST]
    return request if request and request != status.last_retry_request else None


def apply_retry(
    annotations: Mapping[str, str], status: DistillationJobStatus
) -> tuple[DistillationJobStatus, str | None]:
    """The status with the failed stage ready for another attempt, where that is asked for; and why a request that
    there is can't be honoured.

    The stage's failures and disruptions are counted again from zero; finished work is kept.
    """
    request = pending_retry_request(annotations, status)
    if request is None:
        return status, None
    name, slash, nonce = request.partition("/")
    honoured = rewrite_job(status, last_retry_request=request)
    if not slash or not nonce:
        return honoured, f"{RETRY_ANNOTATION} is {request!r}; give STAGE/NONCE, e.g. train-one/2"
    failed = [stage.name for stage in status.stages if stage.state == "Failed"]
    if name not in failed:
        which = f"failed has {', '.join(failed)}" if failed else "no stage has failed"
        return honoured, f"{RETRY_ANNOTATION} names {name!r}; {which}"
    stages = [_reset(stage) if stage.name == name else stage for stage in status.stages]
    return rewrite_job(honoured, stages=stages, phase="Running", completion_time=None), None


def _reset(stage: StageStatus) -> StageStatus:
    waiting = with_state(stage, "Waiting", Cause.of(reasons.RETRIED_BY_USER))
    return rewrite_stage(
        waiting,
        attempt=stage.attempt + 1,
        attempts=Attempts(),
        shard_retries=None,
        away_since=None,
        completion_time=None,
        progress=None,
    )
