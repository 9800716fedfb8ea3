"""The page of all reasons, made from their registry: ``python -m distillation_api.schemas.reasons_page`` prints it."""

from collections.abc import Iterator

from distillation_api.reasons import REASONS
from distillation_api.reasons.reason import EXIT_CODES, Cost

_INTRODUCTION = """\
Every reason that a condition, a stage, an Event or a count of rejected rows may show, what it means and what to do,
grouped by what it costs. Made from `distillation_operator/api/reasons` by `make generate`; the code has no other.

A failed job goes on with the annotation `distillation.dev/retry` (see [operations.md](operations.md)) once its cause is
gone; where the spec has to change, make a new DistillationJob: it finds what this one has finished."""

_FINAL = (
    "What the stage's program has found: trying again can't help, so the job fails at once. Where the remedy is a "
    "field of the spec, make a new DistillationJob with it, under another name: it finds what this one has finished. "
    "Where it lies outside (a Secret, a right, a file), mend it and use the annotation `distillation.dev/retry`."
)

_SECTIONS = {
    Cost.CONDITION: (
        "Conditions of the job",
        "`Complete`, `Failed`, `Reconciling` and `Stalled` otherwise have the phase as their reason (Pending, Queued, "
        "Running, Suspended, Complete, Failed), and `Failed` and `Stalled` that of the stage that failed.",
    ),
    Cost.WAITING: (
        "Why a stage waits",
        "No attempt is spent. From Unschedulable on they are Kubernetes' own words for a pod that doesn't run; a "
        "Warning of another reason about such a pod is shown as it is.",
    ),
    Cost.FINAL_INPUT: (
        "Final: the data or a model is wrong",
        _FINAL,
    ),
    Cost.FINAL_CONFIGURATION: (
        "Final: what was asked for can't be done",
        _FINAL,
    ),
    Cost.RETRIED: (
        "Tried again as a failure",
        "Counted against `retries.failures`; when these are spent, the job fails with the last reason.",
    ),
    Cost.AWAY: (
        "Waited for, and tried again",
        "What the stage needs is away. It is tried again every few minutes, for an hour without counting, and after "
        "that counted against `retries.failures`.",
    ),
    Cost.DISRUPTION: (
        "Tried again as a disruption",
        "Counted against `retries.disruptions`, as are preemption, eviction and a lost node.",
    ),
    Cost.ROW_REJECTED: (
        "Why a row was left out",
        "Counted in `status.stages[].counts` as `rejected.REASON`; the other rows go on.",
    ),
    Cost.EVENT: (
        "Events besides",
        "Events also have the reasons of failed and waiting stages, and of a reached budget.",
    ),
}
"""Title and introduction of each section, in the order of the page."""


def reasons_page() -> str:
    """The page as Markdown: one table for each cost."""
    lines = ["# Reasons", "", _INTRODUCTION, ""]
    for cost, (title, introduction) in _SECTIONS.items():
        lines += _section(cost, title, introduction)
    return "\n".join(lines)


def _section(cost: Cost, title: str, introduction: str) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    code = EXIT_CODES.get(cost)
    yield introduction if code is None else f"{introduction} A program that ends for one of these has exit code {code}."
    yield ""
    yield "| reason | meaning | remedy |"
    yield "| --- | --- | --- |"
    for reason in REASONS.values():
        if reason.cost is cost:
            yield f"| {reason.name} | {reason.meaning} | {reason.remedy} |"
    yield ""


if __name__ == "__main__":
    print(reasons_page(), end="")
