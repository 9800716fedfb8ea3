"""What the operators wrote, from the API server's audit log."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

WRITES = ("create", "update", "patch", "delete")
AGENT = "distillation-operator/"
QUESTIONS = ("selfsubjectaccessreviews",)
"""What is created to be answered and is kept nowhere; an operator that starts asks what it may do."""


def writes(log: Path, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """The operators' writes that the API server accepted, after ``since``."""
    with log.open() as lines:
        for line in lines:
            # The last line may be half written.
            if AGENT not in line or not line.endswith("\n"):
                continue
            event = json.loads(line)
            if event["verb"] not in WRITES or not event.get("userAgent", "").startswith(AGENT):
                continue
            if event["responseStatus"]["code"] >= 300 or event["objectRef"]["resource"] in QUESTIONS:
                continue
            if since is None or datetime.fromisoformat(event["requestReceivedTimestamp"]) > since:
                yield event


def creations(log: Path) -> Counter[tuple[str, str]]:
    """How often each Job and JobSet was created, by namespace and name."""
    found: Counter[tuple[str, str]] = Counter()
    for event in writes(log):
        reference = event["objectRef"]
        if event["verb"] == "create" and reference.get("resource") in ("jobs", "jobsets"):
            found[reference["namespace"], reference["name"]] += 1
    return found


def now() -> datetime:
    """The clock of the audit log."""
    return datetime.now(UTC)
