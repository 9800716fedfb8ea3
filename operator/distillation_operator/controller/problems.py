"""Why a child could not be created, in words that a user can act on."""

from distillation_operator.controller.kube import Refused
from distillation_operator.pipeline.observed import Problem


def problem_of(refused: Refused, kind: str, name: str) -> Problem:
    """The problem that a refused creation is."""
    if refused.status == 404 and kind == "JobSet":
        return Problem(
            "JobSetMissing",
            "The cluster has no JobSet (jobset.x-k8s.io/v1alpha2). Install the JobSet controller; "
            "this job goes on by itself then.",
        )
    if refused.status == 403 and "exceeded quota" in refused.message:
        return Problem("QuotaExceeded", refused.message)
    if refused.status == 409:
        return Problem(
            "NameTaken",
            f"A {kind} named {name} exists and isn't owned by this DistillationJob; delete or rename it.",
        )
    reason = {0: "ApiServerUnreachable", 403: "Forbidden", 422: "ChildInvalid"}.get(refused.status, "CreateFailed")
    return Problem(reason, f"{kind} {name} could not be created: {refused.message or refused.reason}")
