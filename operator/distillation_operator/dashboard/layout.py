"""The graph of stages as a drawing: rows from top to bottom, each stage below all that it needs."""

from collections.abc import Mapping
from dataclasses import dataclass

NODE_WIDTH, NODE_HEIGHT = 150, 46
_GAP_X, _GAP_Y = 14, 28
_MARGIN = 14
_ASIDE = 7
"""How far beside a stage a line passes that isn't about it."""


@dataclass(frozen=True)
class Node:
    """A stage's place, in pixels from the upper left corner."""

    name: str
    x: float
    y: float


@dataclass(frozen=True)
class Layout:
    """A drawing of that size."""

    width: int
    height: int
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str, str], ...]
    """Path of SVG, the stage at its beginning and the one at its end."""


def lay_out(needs: Mapping[str, tuple[str, ...]], across: int) -> Layout:
    """A drawing of stages. ``needs``: in dataflow order, the stages that each needs. ``across``: most in a row."""
    layers = _layers(needs, across)
    rows = [layer[start : start + across] for layer in layers for start in range(0, len(layer), across)]
    widest = max(map(len, rows), default=1)
    width = widest * NODE_WIDTH + (widest - 1) * _GAP_X + 2 * _MARGIN
    placed: list[list[Node]] = []
    nodes: dict[str, Node] = {}
    for number, row in enumerate(rows):
        taken = len(row) * NODE_WIDTH + (len(row) - 1) * _GAP_X
        ordered = _ordered(row, needs, nodes)
        left, top = (width - taken) / 2, _MARGIN + number * (NODE_HEIGHT + _GAP_Y)
        placed.append([Node(name, left + place * (NODE_WIDTH + _GAP_X), top) for place, name in enumerate(ordered)])
        nodes |= {node.name: node for node in placed[-1]}
    edges = [
        (_line(nodes[need], nodes[name], placed), need, name)
        for name, wanted in needs.items()
        for need in wanted
        if need in nodes
    ]
    height = len(rows) * (NODE_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN if rows else 0
    return Layout(width, height, tuple(nodes.values()), tuple(edges))


def _layers(needs: Mapping[str, tuple[str, ...]], across: int) -> list[list[str]]:
    """Each stage as high as it can stand; where there are too many, those move down that nothing waits for there."""
    depth: dict[str, int] = {}
    for name, wanted in needs.items():
        depth[name] = 1 + max((depth[need] for need in wanted if need in depth), default=-1)
    followers: dict[str, list[str]] = {name: [] for name in needs}
    for name, wanted in needs.items():
        for need in wanted:
            followers[need].append(name)

    def room(name: str) -> int:
        return min((depth[other] for other in followers[name]), default=depth[name] + 1) - depth[name] - 1

    for level in range(len(needs)):
        crowded = [name for name in needs if depth[name] == level]
        crowded.sort(key=room, reverse=True)
        for name in crowded[: max(0, len(crowded) - across)]:
            if room(name) > 0:
                depth[name] += 1
    layers: dict[int, list[str]] = {}
    for name in needs:
        layers.setdefault(depth[name], []).append(name)
    return [layers[number] for number in sorted(layers)]


def _ordered(row: list[str], needs: Mapping[str, tuple[str, ...]], placed: Mapping[str, Node]) -> list[str]:
    """Each below the middle of what it needs, so that lines cross little."""

    def middle(name: str) -> float:
        above = [placed[need].x for need in needs[name] if need in placed]
        return sum(above) / len(above) if above else 0.0

    return sorted(row, key=middle) if placed else row


def _line(start: Node, end: Node, rows: list[list[Node]]) -> str:
    """From the bottom of a stage to the top of another, past those between."""
    x, y = start.x + NODE_WIDTH / 2, start.y + NODE_HEIGHT
    goal = end.x + NODE_WIDTH / 2
    path = f"M{x:g} {y:g}"
    for row in rows:
        top = row[0].y
        if not start.y < top < end.y:
            continue
        beside = _free(x + (goal - x) * (top - y) / (end.y - y), row)
        path += _curve(x, y, beside, top) + f"V{top + NODE_HEIGHT:g}"
        x, y = beside, top + NODE_HEIGHT
    return path + _curve(x, y, goal, end.y)


def _free(x: float, row: list[Node]) -> float:
    """The place next to x where no stage of the row stands."""
    if all(not node.x - _ASIDE < x < node.x + NODE_WIDTH + _ASIDE for node in row):
        return x
    sides = [side for node in row for side in (node.x - _ASIDE, node.x + NODE_WIDTH + _ASIDE)]
    return min(sides, key=lambda side: abs(side - x))


def _curve(x1: float, y1: float, x2: float, y2: float) -> str:
    bend = (y2 - y1) / 2
    return f"C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"
