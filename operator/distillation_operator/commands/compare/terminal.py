"""The comparison as text: the runs side by side where they fit, else one below another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from distillation_operator.commands.compare.comparison import Comparison
from distillation_operator.commands.compare.differences import UNKNOWN, Difference
from distillation_operator.commands.compare.figures import MAIN, SCORES, Figure
from distillation_operator.commands.words import ABSENT, one_line, short

BEST = "*"
UNTOLD = "?"
_WIDE = 1000
"""Columns of an output that isn't a terminal: nothing is cut or wrapped."""
_SIDE_BY_SIDE = 8
"""Runs at most in the columns of an output that isn't a terminal."""
_COLUMN, _FIRST, _LABEL = 13, 30, 24
"""Columns at least of a run, at most of what is said of it, at most of a run's name."""
_VALUE = 120
"""Characters at most of a value of a spec."""


def show(comparison: Comparison, console: Console | None = None) -> None:
    """Print the comparison."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console = Console(file=console.file, width=_WIDE, highlight=False, no_color=True)
    room = (console.width - _FIRST) // (_COLUMN + 2) if console.is_terminal else _SIDE_BY_SIDE
    frame = box.SIMPLE_HEAD if console.is_terminal else None
    side_by_side = len(comparison.runs) <= max(1, room)
    for table in _columns(comparison, frame) if side_by_side else _rows(comparison, console.width, frame):
        _print(console, table)
    for line in _remarks(comparison):
        _print(console, line)


def _print(console: Console, part: Table | Text) -> None:
    if console.is_terminal:
        console.print(part)
        return
    with console.capture() as capture:
        console.print(part, soft_wrap=isinstance(part, Text))
    for line in capture.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")


def _columns(comparison: Comparison, frame: box.Box | None) -> Iterator[Table]:
    """One table with a column for each run."""
    table = Table(box=frame, pad_edge=False, header_style="bold", show_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", overflow="fold", max_width=_FIRST if frame else None)
    for label in comparison.labels:
        table.add_column(Text(label), overflow="fold")
    table.add_row(Text("state"), *(Text(one_line(run.phase or ABSENT)) for run in comparison.runs))
    if comparison.differences:
        _heading(table, "Differs in the spec", len(comparison.runs))
    for difference in comparison.differences:
        table.add_row(Text(one_line(difference.path)), *(Text(_value(value)) for value in difference.values))
    section = None
    for figure in _shown(comparison):
        if figure.section != section:
            section = figure.section
            _heading(table, section, len(comparison.runs))
        cells = [_cell(figure, run) for run in range(len(comparison.runs))]
        table.add_row(Text(one_line(figure.label)), *cells)
    yield table


def _heading(table: Table, text: str, runs: int) -> None:
    table.add_row(*[""] * (runs + 1))
    table.add_row(Text(text, style="bold"), *[""] * runs)


def _rows(comparison: Comparison, width: int, frame: box.Box | None) -> Iterator[Table | Text]:
    """A row for each run, in as many tables as the figures take; then each differing field with the runs by value."""
    label = max(map(cell_len, comparison.labels))
    label = min(_LABEL, label) if frame else label
    left = width - label - 6
    columns = [_Column("state", [one_line(run.phase or ABSENT) for run in comparison.runs])]
    figures = sorted(_shown(comparison), key=lambda figure: MAIN.index(figure.key) if figure.key in MAIN else len(MAIN))
    for figure in figures:
        if figure.common is None:
            cells = [str(_cell(figure, run)) for run in range(len(comparison.runs))]
            columns.append(_Column(one_line(figure.label), cells))
    while columns:
        table = Table(box=frame, pad_edge=False, header_style="bold", show_edge=False, padding=(0, 2, 0, 0))
        table.add_column("#", justify="right", no_wrap=True)
        table.add_column("run", overflow="fold", width=label)
        taken: list[_Column] = []
        while columns and (not taken or sum(column.width + 2 for column in [*taken, columns[0]]) <= left):
            taken.append(columns.pop(0))
        for column in taken:
            table.add_column(Text(column.name), overflow="fold", width=min(column.width, left - 2))
        for number, name in enumerate(comparison.labels):
            table.add_row(str(number + 1), Text(name), *(Text(column.cells[number]) for column in taken))
        yield table
        yield Text("")
    common = [f"{one_line(figure.label)} {figure.common}" for figure in figures if figure.common is not None]
    if common:
        yield Text(f"The same in all runs: {'; '.join(common)}.")
        yield Text("")
    if comparison.differences:
        yield Text("Differs in the spec: value and runs", style="bold")
    for difference in comparison.differences:
        yield Text(f"{one_line(difference.path)}")
        for value, runs in by_value(difference):
            yield Text(f"  {value}: {_numbers(runs)}")


@dataclass(frozen=True)
class _Column:
    name: str
    cells: Sequence[str]

    @property
    def width(self) -> int:
        """So wide that no word is broken, and a long name stands in a few lines."""
        words = max(map(cell_len, self.name.split()), default=1)
        return max(words, cell_len(self.name) // 3, *map(cell_len, self.cells))


def by_value(difference: Difference) -> list[tuple[str, list[int]]]:
    """The values of a field for people, each with its runs, counted from 0."""
    found: dict[str, list[int]] = {}
    for run, value in enumerate(difference.values):
        found.setdefault(_value(value), []).append(run)
    return list(found.items())


def _numbers(runs: Sequence[int]) -> str:
    """Counted from 1; three and more in a row as a range."""
    ranges: list[list[int]] = []
    for run in runs:
        if ranges and ranges[-1][-1] == run - 1:
            ranges[-1].append(run)
        else:
            ranges.append([run])
    told = [
        f"{part[0] + 1}-{part[-1] + 1}" if len(part) > 2 else ", ".join(str(run + 1) for run in part) for part in ranges
    ]
    return ", ".join(told)


def _shown(comparison: Comparison) -> list[Figure]:
    return [figure for figure in comparison.figures if figure.is_main]


def _cell(figure: Figure, run: int) -> Text:
    text = figure.text(run)
    if text is None:
        return Text(ABSENT, style="dim")
    return Text(f"{text} {BEST}", style="bold") if run in figure.best else Text(text)


def _value(value: object) -> str:
    return UNTOLD if value is UNKNOWN else short(value, _VALUE)


def _remarks(comparison: Comparison) -> Iterator[Text]:
    yield Text("")
    if len(comparison.runs) > 1 and not comparison.differences:
        yield Text("The specs don't differ, as far as they are known.")
    if any(figure.best for figure in _shown(comparison)):
        yield Text(f"{BEST} is the best of the runs.")
    if any(value is UNKNOWN for difference in comparison.differences for value in difference.values):
        yield Text(f"{UNTOLD}: a run that is known by its report alone doesn't tell this field.")
    if any(figure.section == SCORES for figure in comparison.figures):
        yield Text("Cross-entropy and KL: nats per token of the teacher's answers to the rows that were held out.")
    yield from map(Text, comparison.remarks)
    for number, note in comparison.notes:
        yield Text(f"{comparison.labels[number]}: {note}")
