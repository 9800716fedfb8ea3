"""Plots as SVG that stands in a page: text stays text of one size at any width, colours are the page's.

Positions across are per cent and those down are pixels, so that a plot fills a phone's width or a screen's without its
text growing or shrinking with it. Nothing in them needs a style attribute, which the page's policy forbids.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from distillation_stages.programs.evaluate.axes import Scale, tick_text

LEFT, RIGHT = 15.0, 98.0
"""Per cent of the width: where a plot of lines begins and ends."""
TOP, HEIGHT, BELOW = 10, 190, 26
"""Pixels: above the plot, the plot itself, and the numbers beneath it."""

ROW, BAR = 46, 16
"""Pixels of one bar with its name above it, and of the bar alone."""
HEAD = 22
"""Pixels for the name of the line to reach."""

LONGEST_NAME = 28
"""Characters of a name that fit on a phone next to a number."""

_INNER = 1000
"""Units of the inner picture each way, which is stretched."""


@dataclass(frozen=True)
class Bar:
    """One bar; without a number it is left out, its name is not."""

    name: str
    value: float | None
    text: str
    """The value for people."""
    kind: str = "model"
    """The CSS class: base, model or best."""


@dataclass(frozen=True)
class Line:
    """A curve, or single points."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    kind: str
    """The CSS class: loss, raw, kl or held-out."""
    are_points: bool = False


def bars(label: str, rows: Sequence[Bar], reach: Bar | None = None, highest: float | None = None) -> str:
    """Bars under each other from 0, with a line to reach across all. ``highest``: where they end, so that small shares
    look small. ``label``: what the plot shows, for who can't see it.
    """
    known = [row.value for row in (*rows, *([reach] if reach else [])) if row.value is not None]
    scale = Scale(0.0, highest or max((value for value in known if value > 0), default=1.0))
    head = HEAD if reach is not None and reach.value is not None else 0
    height = head + ROW * len(rows)
    parts = [_opening(f"{label}: {_listed([*rows, *([reach] if reach else [])])}", height)]
    goal = reach if head else None
    if goal is not None and goal.value is not None:
        x = 100 * min(1.0, max(0.0, scale.place(goal.value)))
        anchor = "start" if x < 50 else "end"
        parts.append(_text(x, HEAD - 8, f"{goal.name} {goal.text}", "reach-name", anchor))
    for place, row in enumerate(rows):
        top = head + ROW * place
        parts.append(_text(0, top + 15, shortened(row.name), "name", title=row.name))
        parts.append(_text(100, top + 15, row.text, "value", "end"))
        parts.append(_rect(0, top + 22, 100, "track"))
        if row.value is not None and row.value > 0:
            parts.append(_rect(0, top + 22, 100 * min(1.0, scale.place(row.value)), f"bar {row.kind}"))
        if goal is not None:
            # Across each bar, not from the first to the last: names stand between them.
            for kind in ("reach-edge", "reach"):
                parts.append(
                    f'<line class="{kind}" x1="{x:.2f}%" x2="{x:.2f}%" y1="{top + 18}" y2="{top + 26 + BAR}"/>'
                )
    return "".join((*parts, "</svg>"))


def lines(label: str, curves: Sequence[Line], scale: Scale) -> str:
    """Curves over a common axis of steps. What lies outside the scale is cut off."""
    across = _across([x for curve in curves for x in curve.xs])
    bottom = TOP + HEIGHT
    parts = [_opening(label, bottom + BELOW)]
    ticks = scale.ticks()
    for tick in ticks:
        y = bottom - HEIGHT * scale.place(tick)
        parts.append(f'<line class="grid" x1="{LEFT}%" x2="{RIGHT}%" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 1.5, y + 4, tick_text(tick, ticks), "tick", "end"))
    steps = [tick for tick in across.ticks(4) if tick == int(tick)]
    for tick in steps:
        x = _percent(across.place(tick))
        anchor = "middle" if x < RIGHT - 6 else "end"
        parts.append(_text(x, bottom + 18, tick_text(tick, steps), "tick", anchor))
    width = RIGHT - LEFT
    parts.append(
        f'<svg x="{LEFT}%" y="{TOP}" width="{width}%" height="{HEIGHT}" viewBox="0 0 {_INNER} {_INNER}" '
        'preserveAspectRatio="none">'
    )
    for curve in curves:
        if not curve.are_points and len(curve.xs) > 1:
            points = " ".join(
                f"{_INNER * across.place(x):.1f},{_INNER * (1 - scale.place(y)):.1f}"
                for x, y in zip(curve.xs, curve.ys, strict=True)
            )
            parts.append(f'<polyline class="curve {curve.kind}" vector-effect="non-scaling-stroke" points="{points}"/>')
    parts.append("</svg>")
    for curve in curves:
        if curve.are_points or len(curve.xs) == 1:
            shown = [(x, y) for x, y in zip(curve.xs, curve.ys, strict=True) if scale.shows(y)]
            parts.extend(_dot(curve, across, scale, x, y) for x, y in shown)
    return "".join((*parts, "</svg>"))


def shortened(name: str, most: int = LONGEST_NAME) -> str:
    """A name that fits next to a number; names that are alike differ at their beginning or end."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[len(name) + 1 + most // 2 - most :]}"


def _across(xs: Sequence[float]) -> Scale:
    low, high = min(xs, default=0.0), max(xs, default=1.0)
    return Scale(low, high) if high > low else Scale(low - 1, high + 1)


def _percent(place: float) -> float:
    return LEFT + (RIGHT - LEFT) * place


def _dot(curve: Line, across: Scale, scale: Scale, x: float, y: float) -> str:
    down = TOP + HEIGHT * (1 - scale.place(y))
    return f'<circle class="dot {curve.kind}" cx="{_percent(across.place(x)):.2f}%" cy="{down:.1f}" r="5"/>'


def _opening(label: str, height: int) -> str:
    return (
        f'<svg class="plot" role="img" aria-label="{html.escape(label)}" xmlns="http://www.w3.org/2000/svg" '
        f'width="100%" height="{height}">'
    )


def _listed(rows: Sequence[Bar]) -> str:
    return "; ".join(f"{row.name} {row.text}" for row in rows)


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start", title: str = "") -> str:
    whole = f"<title>{html.escape(title)}</title>" if title and title != text else ""
    return f'<text class="{kind}" x="{x:.2f}%" y="{y:.1f}" text-anchor="{anchor}">{whole}{html.escape(text)}</text>'


def _rect(x: float, y: float, width: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x}%" y="{y}" width="{width:.2f}%" height="{BAR}" rx="2"/>'
