"""The comparison as one HTML file: nothing is loaded from elsewhere, and nothing in it can run."""

import math
from collections.abc import Iterable, Sequence

from distillation_operator.commands.compare.comparison import Comparison
from distillation_operator.commands.compare.differences import UNKNOWN
from distillation_operator.commands.compare.figures import COST, MAIN, SCORES, TRAINING, Figure
from distillation_operator.commands.compare.markup import Child, Element, document, element
from distillation_operator.commands.compare.plot import DISTINCT, NARROW, WIDE, Line, plot, sample
from distillation_operator.commands.compare.run import AFTER, BEFORE, TEACHER, Curve, Run
from distillation_operator.commands.compare.scored_tokens import teacher_has_all
from distillation_operator.commands.compare.style import STYLE, policy
from distillation_operator.commands.words import ABSENT, short

_VALUE = 400
"""Characters at most of a value of a spec."""
_NAMED, _SIDE_BY_SIDE = 6, 12
"""Runs at most in the columns of a table, with their names at the head and with their numbers."""
_FIGURES = 7
"""Figures at most in the columns of a table."""
_MOST_PLOTS = 24
_INSTEAD_OF = {"workSeconds": "seconds", "workChipHours": "chipHours"}
"""Figures that the first table has only where no run tells the other."""


def page(comparison: Comparison) -> str:
    """The whole page."""
    number = len(comparison.runs)
    title = f"{number} runs compared" if number != 1 else f"Run {comparison.labels[0]}"
    sections = [
        _results(comparison),
        *_differences(comparison),
        *_curves(comparison),
        *_details(comparison),
        *_notes(comparison),
    ]
    return document(
        f"{title}: {', '.join(comparison.labels[:4])}", STYLE, policy(), element("h1", None, title), *sections
    )


def _results(comparison: Comparison) -> Element:
    """A row for each run."""
    known = {figure.key: figure for figure in comparison.figures}
    shown = [known[key] for key in MAIN if key in known and _INSTEAD_OF.get(key) not in known]
    heads = ["run", "state", *(figure.label for figure in shown)]
    rows = []
    for run, of_run in enumerate(comparison.runs):
        look = sample(run + 1) if run < DISTINCT else None
        name = element("th", {"scope": "row"}, look, _badge(run), comparison.labels[run])
        state = element("td", {"data-label": "state"}, of_run.phase or ABSENT)
        rows.append(element("tr", None, name, state, *(_cell(figure, run, figure.label) for figure in shown)))
    told = []
    if any(figure.best for figure in comparison.figures):
        told.append("\u2605 is the best of the runs.")
    if any(figure.section == SCORES for figure in comparison.figures):
        told.append(
            "Cross-entropy and KL are nats per token of the teacher's answers to the rows that were held out: less is "
            "better."
        )
    remarks = [element("p", None, remark) for remark in comparison.remarks]
    units = element("p", {"class": "faint"}, " ".join(told))
    return element("section", None, _table(heads, rows, "runs"), *remarks, units)


def _differences(comparison: Comparison) -> Iterable[Element]:
    if len(comparison.runs) < 2:
        return
    yield element("h2", None, "What differs in the spec")
    if not comparison.differences:
        yield element("p", None, "Nothing, as far as the specs are known.")
        return
    matrix = len(comparison.runs) <= _NAMED
    rows = []
    for difference in comparison.differences:
        values = [_value(value) for value in difference.values]
        field = element("th", {"scope": "row"}, element("code", None, difference.path))
        if matrix:
            cells = [
                element("td", {"data-label": label}, value)
                for label, value in zip(comparison.labels, values, strict=True)
            ]
        else:
            by_value: dict[str, list[int]] = {}
            for run, value in enumerate(values):
                by_value.setdefault(value, []).append(run)
            items = [
                element("li", None, f"{value} ", *(_badge(run) for run in runs)) for value, runs in by_value.items()
            ]
            cells = [element("td", {"class": "single"}, element("ul", {"class": "values"}, *items))]
        rows.append(element("tr", None, field, *cells))
    yield _table(["field", *(_heads(comparison) if matrix else ["values and their runs"])], rows, "values")
    if any(value is UNKNOWN for difference in comparison.differences for value in difference.values):
        yield element("p", {"class": "faint"}, "?: a run that is known by its report alone doesn't tell this field.")


def _curves(comparison: Comparison) -> Iterable[Element]:
    """Scores by stage, then the curves of each training stage."""
    figures = [*_score_plots(comparison), *_training_plots(comparison)]
    if not figures:
        return
    yield element("h2", None, "Curves")
    shown = range(min(len(comparison.runs), DISTINCT))
    items = [element("li", None, sample(run + 1), _badge(run), comparison.labels[run]) for run in shown]
    yield element("ul", {"class": "legend"}, *items)
    told = "Lines that come from above begin beyond the picture, so that their ends can be told apart."
    yield element("p", {"class": "faint"}, told)
    if len(comparison.runs) > DISTINCT:
        told = (
            f"Drawn are the first {DISTINCT} of the {len(comparison.runs)} runs; --sort brings the best to the front."
        )
        yield element("p", None, told)
    if len(figures) > _MOST_PLOTS:
        yield element("p", None, f"Drawn are the first {_MOST_PLOTS} of {len(figures)} plots.")
    yield element("div", {"class": "plots"}, *figures[:_MOST_PLOTS])


def _score_plots(comparison: Comparison) -> Iterable[Element]:
    for metric, title in (("crossEntropy", "Cross-entropy, held out"), ("kl", "KL to the teacher, held out")):
        told = [run.scores.get(metric, {}) for run in comparison.runs[:DISTINCT]]
        between = dict.fromkeys(model for scores in told for model in scores if model.startswith(f"{AFTER} "))
        places = [BEFORE, *between, AFTER]
        lines = []
        for run, scores in enumerate(told):
            points = [(float(place), scores[model]) for place, model in enumerate(places) if model in scores]
            finite = _finite(points)
            if finite:
                lines.append(Line(run + 1, comparison.labels[run], finite))
        level = _teacher_level(comparison.runs[:DISTINCT]) if metric == "crossEntropy" else None
        if any(len(line.points) > 1 for line in lines):
            ticks = [place.removeprefix(f"{AFTER} ") for place in places]
            yield _figure(title, lines, "student before, after stages, after all", "nats per token", ticks, level)


def _teacher_level(runs: Sequence[Run]) -> tuple[float, str] | None:
    """The teacher's own cross-entropy, where it is one for all runs, and of the tokens that the students' are of."""
    told = [run.scores.get("crossEntropy", {}).get(TEACHER, math.nan) for run in runs]
    levels = {round(value, 3) for value in told if math.isfinite(value)}
    if len(levels) != 1 or not teacher_has_all(runs, [math.isfinite(value) for value in told]):
        return None
    return levels.pop(), "teacher"


def _training_plots(comparison: Comparison) -> Iterable[Element]:
    drawn: dict[tuple[str, str], list[Line]] = {}
    for run, of_run in enumerate(comparison.runs[:DISTINCT]):
        for stage, curves in of_run.curves.items():
            for name, points in curves.items():
                if finite := _finite(points):
                    drawn.setdefault((stage, name), []).append(Line(run + 1, comparison.labels[run], finite))
    for (stage, name), lines in drawn.items():
        yield _figure(f"{stage}: {name}", lines, "step", "nats per token")


def _finite(points: Curve) -> Curve:
    """Of a foreign curve what can be drawn: beyond this a picture's arithmetic overflows."""
    return [(x, y) for x, y in points if abs(x) < 1e15 and abs(y) < 1e15]


def _figure(
    title: str,
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    ticks: Sequence[str] = (),
    level: tuple[float, str] | None = None,
) -> Element:
    drawn = [plot(title, lines, x_label, y_label, size, ticks, level) for size in (WIDE, NARROW)]
    return element("figure", None, element("h3", None, title), *drawn)


def _details(comparison: Comparison) -> Iterable[Element]:
    """All figures, by section."""
    matrix = len(comparison.runs) <= _SIDE_BY_SIDE
    for section in (SCORES, TRAINING, COST):
        figures = [figure for figure in comparison.figures if figure.section == section]
        if not figures:
            continue
        yield element("h2", None, section)
        runs = range(len(comparison.runs))
        if matrix:
            rows = [
                element(
                    "tr",
                    None,
                    element("th", {"scope": "row"}, figure.label),
                    *(_cell(figure, run, comparison.labels[run]) for run in runs),
                )
                for figure in figures
            ]
            yield _table(["", *_heads(comparison)], rows)
        else:
            for start in range(0, len(figures), _FIGURES):
                shown = figures[start : start + _FIGURES]
                rows = [
                    element(
                        "tr",
                        None,
                        element("th", {"scope": "row"}, _badge(run), comparison.labels[run]),
                        *(_cell(figure, run, figure.label) for figure in shown),
                    )
                    for run in runs
                ]
                yield _table(["run", *(figure.label for figure in shown)], rows)


def _notes(comparison: Comparison) -> Iterable[Element]:
    if not comparison.notes:
        return
    yield element("h2", None, "Notes")
    items = [
        element("li", None, _badge(run), f"{comparison.labels[run]}: ", short(note, 1024))
        for run, note in comparison.notes
    ]
    yield element("ul", {"class": "values"}, *items)


def _table(heads: Sequence[Sequence[Child] | str], rows: Iterable[Element], look: str = "figures") -> Element:
    cells = [element("th", {"scope": "col"}, *([head] if isinstance(head, str) else head)) for head in heads]
    head, body = element("thead", None, element("tr", None, *cells)), element("tbody", None, *rows)
    # Can be scrolled by keyboard, where many runs make it wider than the window.
    return element("div", {"class": "scroll", "tabindex": "0"}, element("table", {"class": look}, head, body))


def _heads(comparison: Comparison) -> list[Sequence[Child]]:
    named = len(comparison.runs) <= _NAMED
    return [[_badge(run), label] if named else [_badge(run)] for run, label in enumerate(comparison.labels)]


def _badge(run: int) -> Element:
    """The number of a run, counted from 1, by which plots name it."""
    return element("span", {"class": f"number run-{run + 1}" if run < DISTINCT else "number"}, str(run + 1))


def _cell(figure: Figure, run: int, label: str) -> Element:
    text = figure.text(run)
    if run in figure.best:
        return element("td", {"data-label": label, "class": "best"}, f"{text} \u2605")
    return element("td", {"data-label": label}, text or ABSENT)


def _value(value: object) -> str:
    return "?" if value is UNKNOWN else short(value, _VALUE)
