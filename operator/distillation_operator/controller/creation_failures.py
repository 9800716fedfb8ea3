"""Why a child could not be created, in words that a user can act on."""

from distillation_api import reasons
from distillation_operator.controller.kube import Refused
from distillation_operator.pipeline.observed import Problem

_BY_STATUS = {0: reasons.API_SERVER_UNREACHABLE, 403: reasons.FORBIDDEN, 422: reasons.CHILD_INVALID}


def problem_of(refused: Refused, kind: str, name: str) -> Problem:
    """The problem that a refused creation is."""
    if refused.status == 404 and kind == "JobSet":
        return Problem(
            reasons.JOB_SET_MISSING.name,
            "The cluster has no JobSet (jobset.x-k8s.io/v1alpha2). Install the JobSet controller; "
            "this job goes on by itself then.",
        )
    if refused.status == 403 and "exceeded quota" in refused.message:
        return Problem(reasons.QUOTA_EXCEEDED.name, refused.message)
    if refused.status == 409:
        return Problem(
            reasons.NAME_TAKEN.name,
            f"A {kind} named {name} exists and isn't owned by this DistillationJob; delete or rename it.",
        )
    reason = _BY_STATUS.get(refused.status, reasons.CREATE_FAILED)
    return Problem(reason.name, f"{kind} {name} could not be created: {refused.message or refused.reason}")
