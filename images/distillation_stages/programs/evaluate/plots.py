"""The report's plots, as SVG that stands inside an HTML page: text stays text, nothing is loaded from elsewhere."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT = 6.4, 3.0
"""Inches of 72 points."""

Line = tuple[Sequence[float], Sequence[float]]
"""x and y of its points."""


def lines(title: str, x_label: str, y_label: str, curves: Mapping[str, Line]) -> str:
    """One curve per name. A curve of one point is a dot."""
    figure, axes = _figure(title)
    for number, (name, (xs, ys)) in enumerate(curves.items()):
        (line,) = axes.plot(xs, ys, marker="." if len(xs) < 60 else None, linewidth=1.2, label=name)
        line.set_gid(f"mark-curve-{number}")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        axes.legend(frameon=False)
    return _svg(figure, title)


def bars(title: str, y_label: str, heights: Mapping[str, float], highest: float | None = None) -> str:
    """One bar per name, its value above it. ``highest``: where the axis ends, so that small shares look small."""
    figure, axes = _figure(title)
    drawn = axes.bar(list(heights), list(heights.values()), width=0.6, color=_colours(len(heights)))
    for number, bar in enumerate(drawn):
        bar.set_gid(f"mark-bar-{number}")
    axes.bar_label(drawn, fmt="%.3g")
    axes.set_ylabel(y_label)
    axes.margins(y=0.15)
    if highest is not None:
        axes.set_ylim(0, 1.15 * highest)
    return _svg(figure, title)


def _colours(count: int) -> list[str]:
    """Grey for the first, which is what the others are compared with."""
    return ["#9aa0a6", *["#1a73e8"] * (count - 1)]


def _figure(title: str) -> tuple[Any, Any]:
    # Without pyplot: that keeps figures in a global list and looks for a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any, salt: str) -> str:
    import matplotlib

    written = io.StringIO()
    # The salt makes the ids of each figure its own: several stand in one page.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    return text[text.index("<svg") :]
