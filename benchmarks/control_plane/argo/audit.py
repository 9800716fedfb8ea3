"""Figures from the API server's audit log: hand-offs, and what a controller asks of the API."""

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.control_plane.argo.workflow import Graph

Name = tuple[str, str]
"""Namespace and name."""

WRITES = ("create", "update", "patch", "delete", "deletecollection")
_CHILDREN = ("jobs", "jobsets", "pods")


@dataclass(frozen=True)
class Call:
    """A request that the API server has answered, and when, in seconds since 1970."""

    answered: float
    agent: str
    verb: str
    resource: str
    name: Name
    code: int

    @property
    def is_write(self) -> bool:
        """Whether it asks for a change."""
        return self.verb in WRITES

    @property
    def kind(self) -> str:
        """Which sort of write it is, as the figures name them."""
        if self.resource == "events":
            return "events"
        if self.verb == "create":
            return "children" if self.resource in _CHILDREN else "otherCreations"
        return "updates" if self.verb in ("update", "patch") else "deletions"


def calls(events: Iterable[Mapping[str, Any]], since: float, until: float) -> Iterator[Call]:
    """The answered requests between two times; a watch, which is answered when it ends, is none."""
    for event in events:
        if event["stage"] != "ResponseComplete" or event["verb"] == "watch" or "objectRef" not in event:
            continue
        answered = datetime.fromisoformat(event["stageTimestamp"]).timestamp()
        if not since <= answered <= until:
            continue
        about = event["objectRef"]
        resource = "/".join(about[part] for part in ("resource", "subresource") if about.get(part))
        yield Call(
            answered,
            event.get("userAgent", ""),
            event["verb"],
            resource,
            (about.get("namespace", ""), about.get("name", "")),
            event["responseStatus"]["code"],
        )


def last_events(log: Path, size: int) -> Iterator[dict[str, Any]]:
    """The events in the last ``size`` bytes of the log, without a line that has only begun or is cut."""
    with log.open("rb") as lines:
        begin = max(0, log.stat().st_size - size)
        lines.seek(begin)
        if begin:
            lines.readline()
        for line in lines:
            if line.endswith(b"\n"):
                yield json.loads(line)


def writes_per_job(made: Iterable[Call], jobs: int) -> dict[str, float]:
    """Writes for each job by their kind, refused ones included, and in all."""
    kinds = Counter(call.kind for call in made if call.is_write)
    return {kind: round(count / jobs, 2) for kind, count in (*sorted(kinds.items()), ("all", kinds.total()))}


@dataclass(frozen=True)
class Stage:
    """A stage of one job: when its child was created, when its pod was seen, and when its last pod ended."""

    created: float
    seen: float
    ended: float


@dataclass(frozen=True)
class HandOffs:
    """Seconds from a stage's last needed pod's end to what follows, and from a job's creation to its first child."""

    child: list[float]
    pod: list[float]
    first: list[float]


def hand_offs(graph: Graph, jobs: Iterable[tuple[float, Mapping[str, Stage]]]) -> HandOffs:
    """Those of jobs, each given as the time of its creation and its stages. All stages of the graph must be there."""
    times = HandOffs([], [], [])
    for begun, stages in jobs:
        times.first.append(min(stage.created for stage in stages.values()) - begun)
        for name, node in graph.items():
            if node.needs:
                ready = max(stages[need].ended for need in node.needs)
                times.child.append(stages[name].created - ready)
                times.pod.append(stages[name].seen - ready)
    return times


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile by nearest rank and largest of at least one value, and their number."""
    ordered = sorted(seconds)
    return {
        "p50": round(statistics.median(ordered), 4),
        "p99": round(ordered[-(-99 * len(ordered) // 100) - 1], 4),
        "max": round(ordered[-1], 4),
        "count": len(ordered),
    }
