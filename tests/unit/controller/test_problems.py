"""Refused creations are told in words that a user can act on."""

import pytest

from distillation_operator.controller.creation_failures import problem_of
from distillation_operator.controller.kube import Refused


@pytest.mark.parametrize(
    ("refused", "kind", "reason", "words"),
    [
        (Refused(404, "NotFound", "the server could not find the requested resource"), "JobSet", "JobSetMissing",
         "Install the JobSet controller"),
        (Refused(403, "Forbidden", 'jobs "a" is forbidden: exceeded quota: q, requested: cpu=9'), "Job",
         "QuotaExceeded", "requested: cpu=9"),
        (Refused(403, "Forbidden", 'User "x" cannot create jobs'), "Job", "Forbidden", "cannot create jobs"),
        (Refused(409, "AlreadyExists", "exists"), "Job", "NameTaken", "delete or rename"),
        (Refused(422, "Invalid", "spec.template: Required value"), "JobSet", "ChildInvalid", "Required value"),
        (Refused(0, "Unreachable", "connection refused"), "Job", "ApiServerUnreachable", "connection refused"),
        (Refused(500, "InternalError", 'failed calling webhook "vjob"'), "JobSet", "CreateFailed", "webhook"),
    ],
)  # fmt: skip
def test_problem_of(refused: Refused, kind: str, reason: str, words: str) -> None:
    problem = problem_of(refused, kind, "child-0")
    assert problem.reason == reason
    assert words in problem.message
