"""The graph of stages as a drawing: rows from top to bottom, each stage below all that it needs."""

from collections.abc import Mapping
from dataclasses import dataclass

NODE_WIDTH, NODE_HEIGHT = 150, 46
_GAP_X, _GAP_Y = 14, 28
_MARGIN = 4
_ACROSS = 3
"""Stages in a row: as many as a phone's width has room for."""


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


def lay_out(needs: Mapping[str, tuple[str, ...]]) -> Layout:
    """A drawing of stages. ``needs``: in dataflow order, the stages that each needs."""
    rows = [row for layer in _layers(needs) for row in _rows(layer, needs)]
    across = max(map(len, rows), default=1)
    width = across * NODE_WIDTH + (across - 1) * _GAP_X + 2 * _MARGIN
    nodes: dict[str, Node] = {}
    for number, row in enumerate(rows):
        taken = len(row) * NODE_WIDTH + (len(row) - 1) * _GAP_X
        for place, name in enumerate(_ordered(row, needs, nodes)):
            x = (width - taken) / 2 + place * (NODE_WIDTH + _GAP_X)
            nodes[name] = Node(name, x, _MARGIN + number * (NODE_HEIGHT + _GAP_Y))
    edges = [
        (_curve(nodes[need], nodes[name]), need, name)
        for name, wanted in needs.items()
        for need in wanted
        if need in nodes
    ]
    height = len(rows) * (NODE_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN if rows else 0
    return Layout(width, height, tuple(nodes.values()), tuple(edges))


def _layers(needs: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    depth: dict[str, int] = {}
    for name, wanted in needs.items():
        depth[name] = 1 + max((depth[need] for need in wanted if need in depth), default=-1)
    # What needs nothing stands right above the first that needs it, not all of it on top.
    for name in reversed(list(needs)):
        above = [depth[other] for other, wanted in needs.items() if name in wanted]
        if above and not needs[name]:
            depth[name] = min(above) - 1
    layers: dict[int, list[str]] = {}
    for name in needs:
        layers.setdefault(depth[name], []).append(name)
    return [layers[number] for number in sorted(layers)]


def _rows(layer: list[str], needs: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    return [layer[start : start + _ACROSS] for start in range(0, len(layer), _ACROSS)]


def _ordered(row: list[str], needs: Mapping[str, tuple[str, ...]], placed: Mapping[str, Node]) -> list[str]:
    """Each below the middle of what it needs, so that lines cross little."""

    def middle(name: str) -> float:
        above = [placed[need].x for need in needs[name] if need in placed]
        return sum(above) / len(above) if above else 0.0

    return sorted(row, key=middle) if placed else row


def _curve(start: Node, end: Node) -> str:
    x1, y1 = start.x + NODE_WIDTH / 2, start.y + NODE_HEIGHT
    x2, y2 = end.x + NODE_WIDTH / 2, end.y
    bend = max(_GAP_Y / 2, (y2 - y1) / 2)
    return f"M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"
