"""ApiError creations are told in words that a user can act on."""

import pytest

from distillation_operator.controller.creation_failures import creation_failure
from distillation_operator.controller.kube import ApiError


@pytest.mark.parametrize(
    ("refused", "kind", "reason", "words"),
    [
        (ApiError(404, "NotFound", "the server could not find the requested resource"), "JobSet", "JobSetMissing",
         "Install the JobSet controller"),
        (ApiError(403, "Forbidden", 'jobs "a" is forbidden: exceeded quota: q, requested: cpu=9'), "Job",
         "QuotaExceeded", "requested: cpu=9"),
        (ApiError(403, "Forbidden", 'User "x" cannot create jobs'), "Job", "Forbidden", "cannot create jobs"),
        (ApiError(409, "AlreadyExists", "exists"), "Job", "NameTaken", "delete or rename"),
        (ApiError(422, "Invalid", "spec.template: Required value"), "JobSet", "ChildInvalid", "Required value"),
        (ApiError(0, "Unreachable", "connection refused"), "Job", "ApiServerUnreachable", "connection refused"),
        (ApiError(500, "InternalError", 'failed calling webhook "vjob"'), "JobSet", "CreateFailed", "webhook"),
    ],
)  # fmt: skip
def test_creation_failure(refused: ApiError, kind: str, reason: str, words: str) -> None:
    problem = creation_failure(refused, kind, "child-0")
    assert problem.reason == reason
    assert words in problem.message
