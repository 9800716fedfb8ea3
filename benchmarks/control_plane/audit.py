"""The API server's audit log, read as it grows: who asked for what, and when."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

OPERATOR = "distillation-operator/"
KOPF = "kopf/"
"""kopf asks in its own name; only one process that uses it runs at a time."""
WRITES = ("create", "update", "patch", "delete", "deletecollection")
QUESTIONS = ("selfsubjectaccessreviews",)
"""Created to be answered, and kept nowhere."""


class Call(NamedTuple):
    """One request that the API server has answered."""

    received: float
    """Seconds since the epoch."""
    done: float
    """When the answer was complete, or a watch had begun."""
    agent: str
    verb: str
    resource: str
    """With its subresource, such as pods/status."""
    namespace: str
    name: str
    code: int

    @property
    def by_operator(self) -> bool:
        """Whether the operator has sent it, itself or by kopf."""
        return self.agent.startswith((OPERATOR, KOPF))

    @property
    def is_write(self) -> bool:
        """Whether it was to change something that is kept."""
        return self.verb in WRITES and self.resource not in QUESTIONS


class AuditLog:
    """A log whose end is still being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self, wanted: Callable[[Call], bool]) -> list[Call]:
        """The calls since the last time that are wanted: a busy cluster writes gigabytes."""
        return [call for call in calls(self._lines()) if wanted(call)]

    def _lines(self) -> Iterator[bytes]:
        with self._path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                # The last one may be half written.
                if line.endswith(b"\n"):
                    self._offset += len(line)
                    yield line


def calls(lines: Iterable[bytes]) -> Iterator[Call]:
    """The calls of the log's lines; a watch is one when it begins, not again when it ends."""
    for line in lines:
        event = json.loads(line)
        if event["verb"] == "watch" and event["stage"] != "ResponseStarted":
            continue
        yield _call(event)


def _call(event: dict[str, Any]) -> Call:
    reference = event.get("objectRef") or {}
    resource, subresource = reference.get("resource", ""), reference.get("subresource")
    return Call(
        _seconds(event["requestReceivedTimestamp"]),
        _seconds(event["stageTimestamp"]),
        event.get("userAgent", ""),
        event["verb"],
        f"{resource}/{subresource}" if subresource else resource or "documents",
        reference.get("namespace", ""),
        reference.get("name", ""),
        int(event.get("responseStatus", {}).get("code", 0)),
    )


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def calls_by_kind(seen: Iterable[Call]) -> dict[str, int]:
    """How often the operator has sent each verb for each resource, most often first."""
    count = Counter(f"{call.verb} {call.resource}" for call in seen if call.by_operator)
    return dict(count.most_common())


def reads_and_writes(seen: Iterable[Call]) -> dict[str, int]:
    """The operator's calls in three kinds. A watch, which is begun again every few minutes, is no read."""
    kinds = {"reads": 0, "writes": 0, "watches": 0}
    for call in seen:
        if call.by_operator:
            kinds["writes" if call.is_write else "watches" if call.verb == "watch" else "reads"] += 1
    return kinds


def writes_by_kind(seen: Iterable[Call]) -> dict[str, int]:
    """The operator's writes: children, statuses, Events and others."""
    kinds = {"creations": 0, "statusUpdates": 0, "events": 0, "others": 0}
    for call in seen:
        if not (call.by_operator and call.is_write):
            continue
        if is_creation(call):
            kinds["creations"] += 1
        elif call.resource == "distillationjobs/status":
            kinds["statusUpdates"] += 1
        elif call.resource == "events":
            kinds["events"] += 1
        else:
            kinds["others"] += 1
    return kinds


def is_creation(call: Call) -> bool:
    """Whether the operator has created a child by it."""
    return call.by_operator and call.verb == "create" and call.resource in ("jobs", "jobsets") and call.code < 300
