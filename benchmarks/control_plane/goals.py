"""What ten thousand jobs may cost, and what a run has shown of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """A figure of a run that is to be at most ``limit``."""

    measure: str
    unit: str
    limit: float
    path: tuple[str, ...]
    """Where the figure stands among an operator's."""
    handler: str | None = None
    """Where the same stands among those of the empty handler."""


COLD, REST, RESTART = ("coldStart",), ("rest",), ("restart",)
HAND_OFF = {False: (0.1, 0.5), True: (0.2, 1.0)}
"""Median and 99th percentile, in seconds; of many jobs at the same time more is allowed."""
MANY = 1000

GOALS = (
    Goal("cold start, until all jobs were looked at", "s", 20, (*COLD, "seconds"), "seconds"),
    Goal("cold start, processor time", "s", 10, (*COLD, "cpuSeconds"), "cpuSeconds"),
    Goal("memory, settled", "MiB", 150, (*COLD, "memoryMiB"), "memoryMiB"),
    Goal("memory, peak", "MiB", 300, (*COLD, "peakMiB"), "peakMiB"),
    Goal("at rest, share of a core", "%", 1, (*REST, "cpuPercent")),
    Goal("at rest, reads", "calls", 20, (*REST, "reads")),
    Goal("at rest, writes", "calls", 0, (*REST, "writes")),
    Goal("cold start, reads", "calls", 20, (*COLD, "reads")),
    Goal("cold start, writes", "calls", 0, (*COLD, "writes")),
    Goal("restart with active jobs, reads", "calls", 20, (*RESTART, "reads")),
    Goal("restart with active jobs, writes", "calls", 0, (*RESTART, "writes")),
    Goal("burst, created to first child, p99", "s", 10, ("burst", "firstChild", "p99")),
    Goal("burst, processor time of the operator per job", "ms", 100, ("burst", "cpuMillisecondsPerJob")),
    Goal("burst, writes per job beyond its children", "calls", 12, ("burst", "writesBeyondCreations")),
    Goal("failover, the leader was killed", "s", 15, ("failover", "killedSeconds")),
    Goal("failover, the leader was terminated", "s", 15, ("failover", "terminatedSeconds")),
)


@dataclass(frozen=True)
class Row:
    """A goal, and what was seen; None where a run has left it out."""

    goal: Goal
    figure: float | None
    against: float | None
    """Of the other commit."""
    handler: float | None
    """Of the empty handler."""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached."""
        return None if self.figure is None else self.figure <= self.goal.limit


def rows(results: Figures) -> list[Row]:
    """All goals with a run's figures."""
    own = results["operator"]["figures"]
    other = results.get("against", {}).get("figures", {})
    handler = results.get("emptyHandler", {})
    found = []
    for goal in GOALS:
        stage = goal.path[0]
        comparable = own.get(stage, {}).get("active") == other.get(stage, {}).get("active")
        against = at(other, goal.path) if comparable else None
        found.append(Row(goal, at(own, goal.path), against, at(handler, (goal.handler,) if goal.handler else ())))
    return [*found, *_hand_offs(own, other)]


def loads(figures: Figures) -> list[Figures]:
    """What was seen of each load of active jobs, the burst last."""
    return [*figures.get("handOff", []), *([figures["burst"]] if "burst" in figures else [])]


def same_load(load: Figures, among: list[Figures]) -> Figures:
    """The figures of the same load of another operator; empty when it had none."""
    key = ("active", "podSeconds")
    return next((one for one in among if [one[name] for name in key] == [load[name] for name in key]), {})


def at(figures: Any, path: tuple[str, ...]) -> float | None:
    """The figure at a path; None where there is none."""
    if not path:
        return None
    for member in path:
        if isinstance(figures, Mapping) and member == "writesBeyondCreations":
            return beyond_creations(figures)
        if not isinstance(figures, Mapping) or member not in figures:
            return None
        figures = figures[member]
    return float(figures)


def beyond_creations(load: Figures) -> float | None:
    """Writes per job that are no creations of children."""
    writes = load.get("writesPerJob")
    return None if writes is None else round(sum(n for kind, n in writes.items() if kind != "creations"), 1)


def _hand_offs(own: Figures, other: Figures) -> Iterator[Row]:
    """Goals for the greatest number of active jobs, at each pace, and for the burst."""
    seen = loads(own)
    greatest = max((load["active"] for load in own.get("handOff", [])), default=0)
    for load in seen:
        if load["active"] < greatest:
            continue
        for name, limit in zip(("p50", "p99"), HAND_OFF[load["active"] >= MANY], strict=True):
            measure = f"hand-off, {load['active']} active, pods end within {load['podSeconds']:g} s, {name}"
            goal = Goal(measure, "s", limit, ("handOff", name))
            yield Row(goal, at(load, goal.path), at(same_load(load, loads(other)), goal.path), None)
