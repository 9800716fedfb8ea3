"""The stages of a DistillationJob as a table that fits the terminal: 80 columns by 24 rows and less, too."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from distillation_api.contract import MEASURED
from distillation_operator.commands.printable import printable

WIDE = 100
"""Columns from which on each stage has a bar and all its words in its row."""
_WIDE_BAR, _NARROW_BAR = 24, 8
_STYLES = {"Complete": "green", "Failed": "red", "Running": "cyan", "Queued": "yellow", "Pending": "yellow"}

Stage = dict[str, Any]


_SCORES = ("crossEntropyBefore", "crossEntropyAfter", "klAfter", "top1AgreementAfter")


def describe(stage: Stage) -> str:
    """How far a stage is, in a few words."""
    parts = _progress(stage)
    metrics = stage.get("metrics") or {}
    if _SCORES[0] in metrics:
        # Of an evaluation's twenty, those that it is done for; `kubectl get -o yaml` and the report have them all.
        parts.extend(f"{name} {metrics[name]}" for name in _SCORES if name in metrics)
    else:
        # What a preview has measured stands together, in the job's status.
        parts.extend(f"{name} {value}" for name, value in metrics.items() if not name.startswith(MEASURED))
    if stage.get("reused"):
        parts.append("reused")
    if stage.get("attempt"):
        parts.append(f"attempt {stage['attempt']}")
    if stage.get("message"):
        parts.append(stage["message"])
    return printable(", ".join(parts))


def styled(state: str) -> Text:
    """A state or phase in its colour."""
    return Text(printable(state), style=_STYLES.get(state, "dim"))


@dataclass(frozen=True)
class StageTable:
    """A heading, a row for each stage, and what is said below them.

    Narrower than ``WIDE`` only stages that run have a bar, those that wait or are complete have one line without
    metrics, and messages stand below the table in its full width. Where a terminal has too few rows, the stages that
    are complete share one, then those that wait.
    """

    heading: Text
    stages: Sequence[Stage]
    below: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines for a console of this size."""
        if options.max_width >= WIDE:
            row, notes = _wide_row, list(self.below)
        else:
            row, notes = _narrow_row, [*_messages(self.stages), *self.below]
        texts = [Text(printable(note), overflow="fold") for note in notes]
        rows = list(self.stages)
        if console.is_terminal:
            others = 1 + sum(len(text.wrap(console, options.max_width)) for text in texts)
            rows = _fitting(rows, options.size.height - others)
        yield self.heading
        if rows:
            yield _grid(rows, row)
        yield from texts


def _grid(stages: Sequence[Stage], row: Any) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=max(len(stage["name"]) for stage in stages))
    table.add_column(no_wrap=True, min_width=max(len(stage["state"]) for stage in stages))
    for stage in stages:
        table.add_row(stage["name"], styled(stage["state"]), *row(stage))
    return table


def _wide_row(stage: Stage) -> list[RenderableType]:
    if _shares_a_row(stage):
        return []
    return [_bar(stage, _WIDE_BAR), Text(describe(stage))]


def _narrow_row(stage: Stage) -> list[RenderableType]:
    state = stage["state"]
    if _shares_a_row(stage) or state == "Waiting":
        return []
    if state == "Complete":
        return [Text("reused" if stage.get("reused") else "")]
    if state != "Running":
        return [_one_line(stage.get("reason") or "")]
    told = _one_line(describe({**stage, "message": None}))
    if not _progress(stage):
        return [told]
    cell = Table.grid(padding=(0, 1, 0, 0))
    cell.add_column(no_wrap=True, min_width=_NARROW_BAR)
    cell.add_row(_bar(stage, _NARROW_BAR), told)
    return [cell]


def _one_line(text: str) -> Text:
    return Text(printable(text), no_wrap=True, overflow="ellipsis")


def _bar(stage: Stage, width: int) -> ProgressBar:
    progress = stage.get("progress") or {}
    total, done = progress.get("total") or 1, progress.get("done") or 0
    return ProgressBar(total=total, completed=total if stage["state"] == "Complete" else done, width=width)


def _progress(stage: Stage) -> list[str]:
    progress = stage.get("progress")
    if not progress or not progress.get("total"):
        return []
    done, total, unit = progress["done"], progress["total"], progress["unit"]
    rate = [f"{progress['rate']} {unit}/s"] if "rate" in progress else []
    return [f"{100 * done // total}%", f"{done}/{total} {unit}", *rate]


def _messages(stages: Iterable[Stage]) -> list[str]:
    """A line for each message, with the names of all stages that have it; those that wait have none."""
    of: dict[str, list[str]] = {}
    for stage in stages:
        if stage.get("message") and stage["state"] != "Waiting":
            of.setdefault(stage["message"], []).append(stage["name"])
    return [f"{', '.join(names)}: {message}" for message, names in of.items()]


def _fitting(stages: list[Stage], height: int) -> list[Stage]:
    """The stages as at most that many rows, where rows that are shared suffice for it."""
    for state in ("Complete", "Waiting"):
        if len(stages) > height and Counter(stage["state"] for stage in stages)[state] > 1:
            stages = _share_a_row(stages, state)
    return stages


def _share_a_row(stages: list[Stage], state: str) -> list[Stage]:
    alike = [stage for stage in stages if stage["state"] == state]
    row = {"name": f"{len(alike)} stages", "state": state, "stages": len(alike)}
    return [row if stage is alike[0] else stage for stage in stages if stage["state"] != state or stage is alike[0]]


def _shares_a_row(stage: Stage) -> bool:
    return "stages" in stage
