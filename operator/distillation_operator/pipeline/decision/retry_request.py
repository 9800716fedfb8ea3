"""A user's retry of a failed job: an annotation that names the stage and a nonce, which works once per nonce.

``kubectl annotate dj NAME distillation.dev/retry=train-one/$(date +%s) --overwrite``. The annotation is the user's and
is never written by us; which requests were honoured stands in the status, the last few of them: what keeps the object
as a repository has it may put an old one back. Only what is honoured is used up: a request that comes before its stage
fails is honoured when it does.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from distillation_api import reasons
from distillation_api.status import Attempts, DistillationJobStatus, StageStatus
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.status.pen import rewrite_job, rewrite_stage, with_state

RETRY_ANNOTATION = "distillation.dev/retry"
LONGEST = 256
KEPT_REQUESTS = 10
"""Honoured requests that are known besides the last one."""


def pending_retry_request(annotations: Mapping[str, str], status: DistillationJobStatus) -> str | None:
    """The retry that is asked for and not yet honoured."""
    request = annotations.get(RETRY_ANNOTATION, "")[:LONGEST]
    return request if request and request not in (status.last_retry_request, *status.earlier_retries) else None


def apply_retry(
    annotations: Mapping[str, str], status: DistillationJobStatus
) -> tuple[DistillationJobStatus, Cause | None]:
    """The status with the failed stage ready for another attempt, where that is asked for; and why a request that
    there is can't be honoured, or not yet.

    The stage's failures and disruptions are counted again from zero; finished work is kept.
    """
    request = pending_retry_request(annotations, status)
    if request is None:
        return status, None
    name, slash, nonce = request.partition("/")
    failed = [stage.name for stage in status.stages if stage.state == "Failed"]
    if not slash or not nonce:
        example = _example(name, failed or [stage.name for stage in status.stages])
        return status, _refused(f"{RETRY_ANNOTATION} is {request!r}; give STAGE/NONCE{example}")
    if name not in failed:
        return status, _not_failed(name, failed, status)
    stages = [_reset(stage) if stage.name == name else stage for stage in status.stages]
    last = [] if status.last_retry_request is None else [status.last_retry_request]
    return rewrite_job(
        status,
        last_retry_request=request,
        earlier_retries=[*status.earlier_retries, *last][-KEPT_REQUESTS:],
        stages=stages,
        phase="Running",
        reason=None,
        completion_time=None,
    ), None


def _not_failed(name: str, failed: Sequence[str], status: DistillationJobStatus) -> Cause | None:
    """Why the stage of that name isn't retried; None where the stages aren't known yet."""
    names = [stage.name for stage in status.stages]
    if not names:
        return None
    says = f"{RETRY_ANNOTATION} names {name!r}"
    if failed:
        return _refused(f"{says}; failed has {', '.join(failed)}{_nearest(name, failed)}")
    if name not in names:
        return _refused(f"{says}, and there is no such stage{_nearest(name, names)}")
    if status.has_ended:
        return _refused(f"{says}; no stage has failed")
    return Cause.of(reasons.RETRY_WAITS, f"{says}; no stage has failed. When {name} fails, it is retried once")


def _example(name: str, names: Sequence[str]) -> str:
    """With the one that was probably meant, or the last one."""
    return "".join(f", e.g. {stage}/1" for stage in get_close_matches(name, names, 1) or names[-1:])


def _nearest(name: str, names: Sequence[str]) -> str:
    return "".join(f". Did you mean {near}?" for near in get_close_matches(name, names, 1) if near != name)


def _refused(message: str) -> Cause:
    return Cause.of(reasons.RETRY_REFUSED, message)


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
        outputs=None,
        metrics=None,
    )
