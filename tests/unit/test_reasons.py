"""docs/reasons.md lists every reason that the code can tell, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = ("operator/distillation_operator", "images/distillation_stages")
REASON = re.compile(r"(?:[A-Z][a-z0-9]+){2,}")
TELLING = {
    "BadInput", "BadConfiguration", "TryAgain", "StageError", "StageFailure", "Rejected", "BadReasoning", "Problem",
    "Suspension", "Event", "reject", "require", "_told", "_failure", "_condition", "told",
}  # fmt: skip
"""Functions and classes that are given a reason."""
PHASES = {
    "Pending",
    "Queued",
    "Running",
    "Suspended",
    "Complete",
    "Failed",
    "Waiting",
    "Accepted",
    "Reconciling",
    "Stalled",
}
PUT_TOGETHER = {f"{noun}{what}" for noun in ("Model", "Dataset") for what in ("AccessDenied", "NotFound")}
"""By the code that asks the Hub."""
NOT_REASONS = {"JobSet", "DistillationJob"}


def told() -> set[str]:
    """The reasons in the code."""
    found: set[str] = set()
    for folder in SOURCES:
        for path in (CHECKOUT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                found.update(_reasons_of(node))
    return (found | PUT_TOGETHER) - PHASES - NOT_REASONS


def _reasons_of(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if name not in TELLING:
        return
    values = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "reason")]
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and REASON.fullmatch(value.value):
            yield value.value


def documented() -> set[str]:
    """The reasons in the tables."""
    rows = [
        line.split("|")[1:-2] for line in (CHECKOUT / "docs" / "reasons.md").read_text().splitlines() if "|" in line
    ]
    return {word for row in rows for word in re.findall(r"[A-Z][A-Za-z]+", row[-1])} - PHASES


def test_every_reason_is_documented() -> None:
    assert told() - documented() == set()


def test_nothing_is_documented_that_no_code_can_tell() -> None:
    code = "".join(path.read_text() for folder in SOURCES for path in (CHECKOUT / folder).rglob("*.py"))
    assert {reason for reason in documented() - PUT_TOGETHER if f'"{reason}"' not in code} == set()
