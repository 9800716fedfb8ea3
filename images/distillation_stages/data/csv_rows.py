"""Rows of CSV and TSV, whose cells are all texts.

The library reads them by pandas, which guesses types: 007 would become 7, 4.50 a float, and an answer that says None,
NA or null none at all.
"""

import csv
import io
from collections.abc import Collection, Iterator
from typing import IO

from distillation_api import reasons
from distillation_stages.data.dataset import SourceRow
from distillation_stages.runtime.failure import RowRejected

LONGEST_CELL = 64 << 20
"""Characters. A quote that is never closed makes one cell of all that follows."""


def csv_rows(stream: IO[bytes], separator: str, columns: Collection[str] | None) -> Iterator[SourceRow]:
    """The rows below the header, with all their cells; ``columns`` are those that are looked at.

    A row is rejected when it has more or fewer cells than the header, since texts are then in the wrong columns; and
    when a quote in it can't be told from the marks around a cell. Raises csv.Error when a quote is open at the end, a
    cell is too long, or the header is broken or has a column of ``columns`` twice.
    """
    csv.field_size_limit(LONGEST_CELL)
    # Bytes that are no text become lone surrogates, which reject their row.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    lines = _Lines(text)
    header: list[str] | None = None
    for cells in _records(lines, separator):
        if isinstance(cells, RowRejected):
            if header is None:
                raise csv.Error(cells.detail)
            yield cells
        elif not cells:  # a blank line
            continue
        elif header is None:
            header = cells
            _require_one_of_each(header, columns)
        elif len(cells) != len(header):
            yield RowRejected(reasons.BROKEN_CSV, f"{lines.place}: {len(cells)} cells where {len(header)} columns are")
        elif separator == "\t" and lines.are_rows(separator, len(header)):
            yield RowRejected(
                reasons.BROKEN_CSV, f"{lines.place}: a quote that isn't closed in its line has joined whole rows"
            )
        else:
            yield dict(zip(header, cells, strict=True))


def _records(lines: "_Lines", separator: str) -> Iterator[list[str] | RowRejected]:
    """The cells of each row; the reader goes on with the next line behind a row that it can't read."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.require_closed()
            # Of a cell that is too long the reader has lost where the row ends.
            if "expected after" not in str(error):
                raise
            yield RowRejected(
                reasons.BROKEN_CSV,
                f"{lines.place}: text follows the quote that ends a cell; a cell that holds quotes stands in quotes, "
                'each of its own doubled ("")',
            )
        else:
            lines.require_closed()
            yield cells


def _require_one_of_each(header: list[str], columns: Collection[str] | None) -> None:
    for name in columns or ():
        if header.count(name) > 1:
            raise csv.Error(f"it has {header.count(name)} columns named {name!r}; give each a name of its own")


class _Lines:
    """Lines that know which row they make, and whether it was ended by the end of the file alone."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._number = 0
        self._row: list[str] = []
        self._ended_inside = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline()
        if not line:
            # The reader asks for a line that isn't there when a row has ended, too; only then it yields nothing more.
            self._ended_inside = True
            raise StopIteration
        self._number += 1
        self._row.append(line)
        return line

    def begin_row(self) -> None:
        """Forgets the lines of the row before."""
        self._row = []

    @property
    def place(self) -> str:
        """The lines of the row, for messages."""
        first = self._number - len(self._row) + 1
        return f"line {first}" if first == self._number else f"lines {first} to {self._number}"

    def are_rows(self, separator: str, columns: int) -> bool:
        """Whether the row is of several lines, each of which is a whole row without a blank cell when its quotes are
        text: then one quote has most likely joined them.
        """
        cells = [line.split(separator) for line in self._row]
        return len(cells) > 1 and all(len(row) == columns and all(cell.strip() for cell in row) for row in cells)

    def require_closed(self) -> None:
        """Raises csv.Error when the row that was just made ended with the file, and not with a line."""
        if self._ended_inside and self._row:
            raise csv.Error(f"a quote is open at the end of the file, in the row that begins with {self.place}")
