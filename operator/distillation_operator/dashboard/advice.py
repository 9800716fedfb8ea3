"""What a reason means and what to do about it: the text of docs/reasons.md."""

from collections.abc import Iterator
from dataclasses import dataclass

from distillation_api import reasons
from distillation_operator.dashboard.lenient import Object, mapping, members, text

_QUIET = frozenset(
    reason.name
    for reason in (
        # What passes by itself.
        reasons.INPUTS_MISSING, reasons.CREATED, reasons.PODS_STARTING, reasons.RETRIED_BY_USER, reasons.CHILD_DELETED,
        reasons.API_SERVER_UNREACHABLE, reasons.PREVIEW_REMOVED,
        # What repeats a condition of the job.
        reasons.JOB_FAILED, reasons.JOB_SUSPENDED, reasons.PREVIEW_HOLDS,
    )
)  # fmt: skip
"""Reasons of stages that ask nothing of the user."""


@dataclass(frozen=True)
class Advice:
    """A reason as it stands in a status, explained."""

    reason: str
    message: str
    meaning: str = ""
    """Empty for a reason that isn't the operator's, such as Kubernetes' own."""
    remedy: str = ""

    @property
    def asks(self) -> bool:
        """Whether the user has something to do."""
        return self.reason not in _QUIET


@dataclass(frozen=True)
class Problem:
    """What stands in a job's way."""

    title: str
    stage: str
    """The stage that it is about; empty for the job itself."""
    advice: Advice
    severe: bool
    """Whether the job can't go on by itself."""


def advice(holder: Object) -> Advice | None:
    """The reason of a stage, a condition or a failure; None where it has none."""
    reason, message = text(holder.get("reason"), 128), text(holder.get("message"))
    if not reason and not message:
        return None
    known = reasons.REASONS.get(reason)
    return Advice(reason, message, known.meaning, known.remedy) if known else Advice(reason, message)


def conditions(job: Object) -> dict[str, Object]:
    """The conditions of a job by their type."""
    found = members(mapping(job.get("status")).get("conditions"))
    return {text(condition.get("type"), 64): condition for condition in found}


def problems(job: Object) -> list[Problem]:
    """All that asks something of the user, the job's own first; each reason of a stage once."""
    stages = members(mapping(job.get("status")).get("stages"))
    found = list(_of_job(job, stages))
    said = {(problem.stage, problem.advice.reason) for problem in found}
    for stage in stages:
        name, told = text(stage.get("name"), 63), advice(stage)
        if told is None or not told.reason or not told.asks:
            continue
        state = text(stage.get("state"), 32)
        if state != "Complete" and (name, told.reason) not in said:
            found.append(Problem(f"{state}: {told.reason}", name, told, severe=state == "Failed"))
    return found


def _of_job(job: Object, stages: list[Object]) -> Iterator[Problem]:
    by_type = conditions(job)
    said: set[str] = set()
    for kind, wrong, title in (
        ("Failed", "True", "Failed"),
        ("Accepted", "False", "Not accepted"),
        ("Stalled", "True", "Stalled"),
        ("Suspended", "True", "Suspended"),
    ):
        condition = by_type.get(kind, {})
        told = advice(condition)
        if condition.get("status") != wrong or told is None or told.reason in said:
            continue
        said.add(told.reason)
        guilty = [stage for stage in stages if kind == "Failed" and stage.get("state") == "Failed"]
        fitting = (reasons.STAGE_FAILED.name, told.reason)
        failed = [
            text(stage.get("name"), 63) for stage in guilty if stage.get("reason", reasons.STAGE_FAILED.name) in fitting
        ]
        named = f"{title}: {told.reason}" if told.reason else title
        yield Problem(named, failed[0] if failed else "", told, severe=kind != "Suspended")
