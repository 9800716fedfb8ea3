"""A directed acyclic graph laid out in rows: what a node needs stands above it, and edges don't cross nodes."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SWEEPS = 8
"""Down and up again: after so many the order of graphs of this size changes no more."""


@dataclass(frozen=True)
class Place:
    """The middle of a node, or of a bend of an edge, in the units of its width."""

    x: float
    row: int


@dataclass(frozen=True)
class Layout:
    """Where everything stands."""

    nodes: Mapping[str, Place]
    edges: Mapping[tuple[str, str], Sequence[Place]]
    """By both ends; through the bends in between."""
    width: float
    rows: int


@dataclass
class _Graph:
    """Nodes and bends in rows, each row in its order from left to right."""

    rows: list[list[str]]
    above: dict[str, list[str]] = field(default_factory=dict)
    below: dict[str, list[str]] = field(default_factory=dict)

    def connect(self, upper: str, lower: str) -> None:
        """An edge from one row to the next."""
        self.below.setdefault(upper, []).append(lower)
        self.above.setdefault(lower, []).append(upper)


def reduced(needs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The same order with as few edges as possible: what follows from others is left out. ``needs`` are those of each
    node, which stands after all of them.
    """
    reached: dict[str, set[str]] = {}
    kept: dict[str, list[str]] = {}
    for node, its in needs.items():
        through = set[str]().union(*(reached[need] for need in its))
        reached[node] = through | set(its)
        kept[node] = [need for need in its if need not in through]
    return kept


def lay_out(needs: Mapping[str, Sequence[str]], node: float, bend: float, gap: float) -> Layout:
    """The nodes, each after all that it needs, in rows. ``node``, ``bend``: widths, with ``gap`` between them."""
    depth: dict[str, int] = {}
    for name, its in needs.items():
        depth[name] = max((depth[need] + 1 for need in its), default=0)
    graph = _Graph([[] for _ in range(max(depth.values(), default=-1) + 1)])
    for name, row in depth.items():
        graph.rows[row].append(name)
    paths = {(need, name): _path(graph, need, name, depth) for name, its in needs.items() for need in its}
    for sweep in range(SWEEPS):
        _sort_rows(graph, downwards=sweep % 2 == 0)
    widths = {name: node if name in depth else bend for row in graph.rows for name in row}
    places, width = _places(graph, widths, gap)
    edges = {ends: [places[step] for step in path] for ends, path in paths.items()}
    return Layout({name: places[name] for name in depth}, edges, width, len(graph.rows))


def _path(graph: _Graph, need: str, name: str, depth: Mapping[str, int]) -> list[str]:
    """From the need to the node, through a bend in each row between them."""
    bends = [f"{need} > {name} {row}" for row in range(depth[need] + 1, depth[name])]
    for row, bend in enumerate(bends, depth[need] + 1):
        graph.rows[row].append(bend)
    path = [need, *bends, name]
    for upper, lower in itertools.pairwise(path):
        graph.connect(upper, lower)
    return path


def _sort_rows(graph: _Graph, downwards: bool) -> None:
    """Each row by the mean position of its neighbours in the row before."""
    rows = graph.rows if downwards else graph.rows[::-1]
    neighbours = graph.above if downwards else graph.below
    for row, following in itertools.pairwise(rows):
        position = {name: place / max(1, len(row) - 1) for place, name in enumerate(row)}
        kept = {name: place / max(1, len(following) - 1) for place, name in enumerate(following)}

        def mean(name: str, position: Mapping[str, float] = position, kept: Mapping[str, float] = kept) -> float:
            its = neighbours.get(name, [])
            return sum(position[one] for one in its) / len(its) if its else kept[name]

        following.sort(key=mean)


def _places(graph: _Graph, widths: Mapping[str, float], gap: float) -> tuple[dict[str, Place], float]:
    """Rows in the middle of the widest, each moved towards what it hangs on as far as there is room."""
    totals = [sum(widths[name] for name in row) + gap * (len(row) - 1) for row in graph.rows]
    width = max(totals, default=0.0)
    places: dict[str, Place] = {}
    for number, (row, total) in enumerate(zip(graph.rows, totals, strict=True)):
        left = (width - total) / 2
        wanted = [places[one].x for name in row for one in graph.above.get(name, [])]
        if wanted:
            left = min(max(0.0, sum(wanted) / len(wanted) - total / 2), width - total)
        for name in row:
            places[name] = Place(left + widths[name] / 2, number)
            left += widths[name] + gap
    return places, width
