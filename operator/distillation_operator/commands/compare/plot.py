"""Curves over each other, as SVG that stands in the page.

Up to ``DISTINCT`` runs are told apart by colour, by the dashes of the line, and by the run's number at its end, so that
a printout without colour is legible too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from distillation_operator.commands.compare.markup import Element, element
from distillation_operator.commands.compare.run import Curve
from distillation_operator.commands.words import decimal

DISTINCT = 12
"""Runs in one plot."""
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "14 4", "5 2 1 2 1 2")
_SETTLING = 0.2
"""Share of the steps at the start that don't decide how high the axis reaches: the end of a training is to be seen."""
_MOST = 0.8
"""Share of the whole range above which nothing is gained by leaving the start out."""
_TEXT = 12
_TOP, _RIGHT, _BOTTOM, _LEFT = 10.0, 40.0, 40.0, 52.0
_APART, _WIDE_APART = 13.0, 26.0
"""Between two numbers at the ends of lines, one above and one beside the other."""


@dataclass(frozen=True)
class Line:
    """One run in a plot."""

    number: int
    """Of the run, from 1: its look, and what stands at its end."""
    label: str
    points: Curve
    """At least one."""


@dataclass(frozen=True)
class Size:
    """A plot's size in pixels, and how many points of a line are drawn there."""

    width: float
    height: float
    points: int
    name: str
    """Class of the element."""


WIDE, NARROW = Size(640, 330, 120, "wide"), Size(350, 300, 60, "narrow")


def plot(
    title: str,
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    size: Size,
    ticks: Sequence[str] = (),
    level: tuple[float, str] | None = None,
) -> Element:
    """The lines in one frame. ``ticks``: names of the places 0, 1, ... where x isn't a number; ``level``: a value to
    reach, and its name.
    """
    # Many lines are legible only where each is calm.
    most = max(20, size.points * 4 // max(4, len(lines)))
    drawn = [(line, averaged(line.points, most)) for line in lines]
    frame = _Frame.around([points for _, points in drawn], size, level)
    svg = element(
        "svg",
        {
            "viewBox": f"0 0 {size.width:g} {size.height:g}",
            "class": size.name,
            "role": "img",
            "aria-label": f"{title}: {y_label} by {x_label}, {len(lines)} runs",
            "font-size": _TEXT,
        },
    )
    svg.extend(_y_axis(frame, y_label))
    svg.extend(_x_axis(frame, x_label, ticks))
    if level is not None:
        svg.extend(_level(frame, *level))
    curves = _window(frame)
    svg.append(curves)
    for line, points in drawn:
        curves.append(_curve(line, points, frame))
    svg.extend(_ends(drawn, frame))
    return svg


def sample(number: int) -> Element:
    """The look of a run's line, for the legend."""
    svg = element("svg", {"viewBox": "0 0 44 12", "class": "sample", "aria-hidden": "true"})
    look = _look(number)
    svg.append(element("path", {"d": "M1 6H43", **look}))
    if number > len(_DASHES):
        svg.append(element("circle", {"cx": 22.0, "cy": 6.0, "r": 3.5, "class": f"dot run-{_place(number)}"}))
    return svg


def averaged(points: Curve, most: int) -> Curve:
    """At most that many points, each the mean of those that it stands for; the last one is as it was."""
    if len(points) <= most:
        return points
    *body, last = points
    size = math.ceil(len(body) / (most - 1))
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    means = [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]
    return [*means, last]


@dataclass(frozen=True)
class _Frame:
    """Where numbers lie in the picture."""

    size: Size
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    @staticmethod
    def around(drawn: Sequence[Curve], size: Size, level: tuple[float, str] | None) -> "_Frame":
        """All lines, or what follows their first steps where these would leave little room for it; with a margin."""
        xs = [x for points in drawn for x, _ in points]
        fixed = [level[0]] if level is not None else []
        everything, settled = [*fixed, *(y for points in drawn for _, y in points)], fixed
        for points in drawn:
            start = points[0][0] + (points[-1][0] - points[0][0]) * _SETTLING
            settled = [*settled, *(y for x, y in points if x >= start)]
        low, high = min(settled), max(settled)
        # Of two places the second alone would be left.
        is_short = max(map(len, drawn)) < 3
        if is_short or high - low > (max(everything) - min(everything)) * _MOST:
            low, high = min(everything), max(everything)
        margin = (high - low) * 0.05 or abs(high) * 0.05 or 0.5
        x_low, x_high = min(xs), max(xs)
        if x_low == x_high:
            x_low, x_high = x_low - 0.5, x_high + 0.5
        return _Frame(size, x_low, x_high, low - margin, high + margin)

    @property
    def left(self) -> float:
        return _LEFT

    @property
    def right(self) -> float:
        return self.size.width - _RIGHT

    @property
    def bottom(self) -> float:
        return self.size.height - _BOTTOM

    def x(self, value: float) -> float:
        return self.left + (value - self.x_low) / (self.x_high - self.x_low) * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - (value - self.y_low) / (self.y_high - self.y_low) * (self.bottom - _TOP)

    def y_within(self, value: float) -> float:
        return min(max(self.y(value), _TOP), self.bottom)


def round_numbers(low: float, high: float, about: int) -> list[float]:
    """About so many round numbers from low to high."""
    if not high > low or not math.isfinite(high - low):
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    step = next((power * factor for factor in (1, 2, 5) if power * factor >= rough), power * 10)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


def _y_axis(frame: _Frame, label: str) -> list[Element]:
    parts = []
    for value in round_numbers(frame.y_low, frame.y_high, 5):
        y = frame.y(value)
        parts.append(element("path", {"d": f"M{frame.left:.1f} {y:.1f}H{frame.right:.1f}", "class": "grid"}))
        place: dict[str, str | float] = {"x": frame.left - 6, "y": y + 4, "text-anchor": "end"}
        parts.append(element("text", place, decimal(value)))
    middle = (_TOP + frame.bottom) / 2
    turned: dict[str, str | float] = {
        "x": 12.0,
        "y": middle,
        "text-anchor": "middle",
        "transform": f"rotate(-90 12 {middle:.1f})",
    }
    parts.append(element("text", turned, label))
    return parts


def _x_axis(frame: _Frame, label: str, ticks: Sequence[str]) -> list[Element]:
    wide = frame.size is WIDE
    parts = [element("path", {"d": f"M{frame.left:.1f} {frame.bottom:.1f}H{frame.right:.1f}", "class": "axis"})]
    if ticks:
        room = int((frame.right - frame.left) / max(len(ticks), 1) / 6.5)
        named = [(float(place), _cut(name, room)) for place, name in enumerate(ticks)]
    else:
        named = [(value, f"{value:,g}") for value in round_numbers(frame.x_low, frame.x_high, 7 if wide else 4)]
    for value, name in named:
        x = frame.x(value)
        anchor = "start" if ticks and value == 0 else "end" if ticks and value == len(ticks) - 1 else "middle"
        parts.append(
            element("path", {"d": f"M{x:.1f} {frame.bottom:.1f}v4", "class": "axis"}),
        )
        parts.append(element("text", {"x": x, "y": frame.bottom + 17, "text-anchor": anchor}, name))
    middle: dict[str, str | float] = {
        "x": (frame.left + frame.right) / 2,
        "y": frame.size.height - 6,
        "text-anchor": "middle",
    }
    parts.append(element("text", middle, label))
    return parts


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: max(room - 1, 1)]}\u2026"


def _window(frame: _Frame) -> Element:
    """The place of the curves, which cuts what lies outside. A clip path would need an id of its own in each plot."""
    left, width, height = frame.left - 4, frame.right - frame.left + 8, frame.bottom - _TOP + 4
    place: dict[str, str | float] = {"x": left, "y": _TOP - 4, "width": width, "height": height}
    return element("svg", {**place, "viewBox": f"{left:.1f} {_TOP - 4:.1f} {width:.1f} {height:.1f}"})


def _curve(line: Line, points: Curve, frame: _Frame) -> Element:
    title = element("title", None, f"{line.number}: {line.label}")
    group = element("g", None, title)
    places = [(frame.x(x), frame.y(y)) for x, y in points]
    if len(places) > 1:
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        group.append(element("path", {"d": f"M{way}", **_look(line.number)}))
    dotted = places if len(places) == 1 else []
    if line.number > len(_DASHES) and len(places) > 1:
        # Each line its own places, so that dots of lines that lie close don't cover each other.
        stride = max(1, len(places) // 6)
        dotted = places[line.number % stride :: stride]
    for x, y in dotted:
        group.append(element("circle", {"cx": x, "cy": y, "r": 3.5, "class": f"dot run-{_place(line.number)}"}))
    return group


def _level(frame: _Frame, value: float, name: str) -> list[Element]:
    y = frame.y(value)
    place: dict[str, str | float] = {"x": frame.left + 4, "y": y - 5}
    return [
        element("path", {"d": f"M{frame.left:.1f} {y:.1f}H{frame.right:.1f}", "class": "level"}),
        element("text", place, f"{name} {decimal(value)}"),
    ]


def _ends(drawn: Sequence[tuple[Line, Curve]], frame: _Frame) -> list[Element]:
    """The number of each run at the end of its line; those that would cover each other are moved apart."""
    ends = [(frame.x(points[-1][0]), frame.y_within(points[-1][1]), line) for line, points in drawn]
    clusters: list[list[tuple[float, float, Line]]] = []
    for end in sorted(ends, key=lambda end: end[0]):
        if clusters and end[0] - clusters[-1][0][0] < _WIDE_APART:
            clusters[-1].append(end)
        else:
            clusters.append([end])
    parts = []
    for cluster in clusters:
        cluster.sort(key=lambda end: end[1])
        right = max(x for x, _, _ in cluster)
        heights = spread([y for _, y, _ in cluster], _TOP + 4, frame.bottom - 2, _APART)
        for (x, y, line), height in zip(cluster, heights, strict=True):
            run = f"run-{_place(line.number)}"
            leader = f"M{x:.1f} {y:.1f}L{right + 2:.1f} {y:.1f}L{right + 9:.1f} {height:.1f}"
            parts.append(element("path", {"d": leader, "class": f"leader {run}"}))
            place: dict[str, str | float] = {"x": right + 11, "y": height + 4, "class": f"end {run}"}
            parts.append(element("text", place, str(line.number)))
    return parts


def spread(heights: Sequence[float], low: float, high: float, apart: float) -> list[float]:
    """Ascending heights moved as little as it takes to lie within the bounds and that far apart, if there is room."""
    apart = min(apart, (high - low) / max(len(heights) - 1, 1))
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, low, moved[-1] + apart if moved else low))
    ceiling = high
    for place in range(len(moved) - 1, -1, -1):
        moved[place] = max(low, min(moved[place], ceiling))
        ceiling = moved[place] - apart
    return moved


def _place(number: int) -> int:
    return (number - 1) % DISTINCT + 1


def _look(number: int) -> dict[str, str | float]:
    look: dict[str, str | float] = {"class": f"line run-{_place(number)}"}
    dashes = _DASHES[(number - 1) % len(_DASHES)]
    return {**look, "stroke-dasharray": dashes} if dashes else look
