"""The rows of files, whatever their format."""

import csv
import gzip
import itertools
import lzma
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import IO

import pyarrow as pa

from distillation_api import reasons
from distillation_stages.data.csv_rows import csv_rows
from distillation_stages.data.dataset import SourceRow
from distillation_stages.data.files import DataFile, FileFormat
from distillation_stages.data.json_rows import BrokenDocument, document_rows, line_rows
from distillation_stages.data.table_rows import arrow_rows, parquet_row_count, parquet_rows
from distillation_stages.runtime.failure import RowRejected, StageError

Reader = Callable[[IO[bytes], Collection[str] | None], Iterator[SourceRow]]

READERS: dict[FileFormat, Reader] = {
    FileFormat.JSON_LINES: lambda stream, columns: line_rows(stream),
    FileFormat.CSV: lambda stream, columns: csv_rows(stream, ",", columns),
    FileFormat.TSV: lambda stream, columns: csv_rows(stream, "\t", columns),
    FileFormat.PARQUET: parquet_rows,
    FileFormat.ARROW: arrow_rows,
}
"""All but JSON documents, which are opened twice."""

BROKEN = (
    *(pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowSerializationError, UnicodeDecodeError),
    *(EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, csv.Error, BrokenDocument),
)
"""What readers raise at a file that isn't what its name says."""


def rows_of(files: Iterable[DataFile], columns: Collection[str] | None) -> Iterator[SourceRow]:
    """The rows of the files, one file after the other; of tables the columns that are looked at, all for None.

    Raises StageError at a file that is broken.
    """
    return itertools.chain.from_iterable(_rows(file, columns) for file in files)


def count_rows(files: Iterable[DataFile]) -> int | None:
    """The number of rows; None when only reading them all tells it. Raises StageError at a Parquet file that is
    broken.
    """
    total = 0
    for file in files:
        count = _count(file)
        if count is None:
            return None
        total += count
    return total


def _rows(file: DataFile, columns: Collection[str] | None) -> Iterator[SourceRow]:
    with _broken_is_final(file):
        if file.format is FileFormat.JSON:
            yield from document_rows(file.open)
        else:
            with file.open() as stream:
                for row in READERS[file.format](stream, columns):
                    if isinstance(row, RowRejected) and row.detail:
                        yield RowRejected(row.reason, f"{file.name}, {row.detail}")
                    else:
                        yield row


def _count(file: DataFile) -> int | None:
    if file.is_compressed:
        return None
    with _broken_is_final(file), file.open() as stream:
        if file.format is FileFormat.PARQUET:
            return parquet_row_count(stream)
        if file.format is FileFormat.JSON_LINES:
            return sum(1 for line in stream if line.strip())
    return None


@contextmanager
def _broken_is_final(file: DataFile) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise _broken(file, error) from error
    except OSError as error:
        # Unpacking fails by an OSError too, but one without a number.
        if error.errno is not None or not file.is_compressed:
            raise
        raise _broken(file, error) from error


def _broken(file: DataFile, error: Exception) -> StageError:
    whole = f"compressed {file.format}" if file.is_compressed else str(file.format)
    return StageError(reasons.UNREADABLE_DATASET, f"{file.name} is no whole {whole} file: {error}")
