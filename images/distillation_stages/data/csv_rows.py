"""Rows of CSV and TSV, whose cells are all texts.

The library reads them by pandas, which guesses types: 007 would become 7, 4.50 a float, and an answer that says None,
NA or null none at all.
"""

import csv
import io
from collections.abc import Iterator
from typing import IO

from distillation_api import reasons
from distillation_stages.data.dataset import SourceRow
from distillation_stages.runtime.failure import RowRejected

LONGEST_CELL = 64 << 20
"""Characters. A quote that is never closed makes one cell of all that follows."""


def csv_rows(stream: IO[bytes], separator: str) -> Iterator[SourceRow]:
    """The rows below the header. Raises csv.Error when a quote is open at the end.

    A row with more or fewer cells than the header is rejected: in it, texts are in the wrong columns.
    """
    csv.field_size_limit(LONGEST_CELL)
    # Bytes that are no text become lone surrogates, which reject their row.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    lines = _Lines(text)
    header: list[str] | None = None
    for cells in csv.reader(lines, delimiter=separator):
        lines.require_closed()
        if not cells:  # a blank line
            continue
        if header is None:
            header = cells
        elif len(cells) == len(header):
            yield dict(zip(header, cells, strict=True))
        else:
            yield RowRejected(reasons.BROKEN_CSV)


class _Lines:
    """Lines that know whether the row which is made of them was ended by the end of the file alone."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._number = 0
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
        return line

    def require_closed(self) -> None:
        """Raises csv.Error when the row that was just made ended with the file, and not with a line."""
        if self._ended_inside:
            raise csv.Error(f"a quote is open at the end of the file, at line {self._number}")
