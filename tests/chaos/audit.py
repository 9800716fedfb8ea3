"""What the operators wrote, from the API server's audit log."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.audit import events

WRITES = ("create", "update", "patch", "delete")
AGENT = "distillation-operator/"
CHILDREN = ("jobs", "jobsets")
QUESTIONS = ("selfsubjectaccessreviews",)
"""What is created to be answered and is kept nowhere; an operator that starts asks what it may do."""


def writes(log: Path, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """The operators' writes that the API server accepted, after ``since``."""
    for event in _tried(log):
        if event["responseStatus"]["code"] >= 300 or event["objectRef"]["resource"] in QUESTIONS:
            continue
        if since is None or datetime.fromisoformat(event["requestReceivedTimestamp"]) > since:
            yield event


def creations(log: Path) -> Counter[tuple[str, str]]:
    """How often each Job and JobSet was created, by namespace and name.

    One whose connection breaks before the answer is logged as an error, and may be stored: then its controller writes
    it later.
    """
    found: Counter[tuple[str, str]] = Counter()
    unsure: set[tuple[str, str]] = set()
    for event in _tried(log):
        reference = event["objectRef"]
        if event["verb"] == "create" and reference.get("resource") in CHILDREN:
            child = reference["namespace"], reference["name"]
            if event["responseStatus"]["code"] < 300:
                found[child] += 1
            else:
                unsure.add(child)
    unsure -= found.keys()
    found.update(unsure & _written_by_controllers(log) if unsure else ())
    return found


def _tried(log: Path) -> Iterator[dict[str, Any]]:
    for event in events(log, AGENT):
        if event["verb"] in WRITES and event.get("userAgent", "").startswith(AGENT):
            yield event


def _written_by_controllers(log: Path) -> set[tuple[str, str]]:
    return {
        (event["objectRef"]["namespace"], event["objectRef"]["name"])
        for event in events(log, '"subresource":"status"')
        if event["objectRef"]["resource"] in CHILDREN and event["responseStatus"]["code"] < 300
    }


def now() -> datetime:
    """The clock of the audit log."""
    return datetime.now(UTC)
