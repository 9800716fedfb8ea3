"""Why a child could not be created, in words that a user can act on."""

from distillation_api import reasons
from distillation_operator.controller.kube import ApiError
from distillation_operator.pipeline.cause import Cause

_BY_STATUS = {0: reasons.API_SERVER_UNREACHABLE, 403: reasons.FORBIDDEN, 422: reasons.CHILD_INVALID}


def creation_failure(error: ApiError, kind: str, name: str) -> Cause:
    """What a creation that the API server refused means to the user."""
    if error.status == 404 and kind == "JobSet":
        return Cause.of(
            reasons.JOB_SET_MISSING,
            "The cluster has no JobSet (jobset.x-k8s.io/v1alpha2). Install the JobSet controller; "
            "this job goes on by itself then.",
        )
    if error.status == 403 and "exceeded quota" in error.message:
        return Cause.of(reasons.QUOTA_EXCEEDED, error.message)
    if error.status == 409:
        return Cause.of(
            reasons.NAME_TAKEN,
            f"A {kind} named {name} exists and isn't owned by this DistillationJob; delete or rename it.",
        )
    reason = _BY_STATUS.get(error.status, reasons.CREATE_FAILED)
    return Cause.of(reason, f"{kind} {name} could not be created: {error.message or error.reason}")
