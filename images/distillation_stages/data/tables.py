"""The Parquet tables that stages hand to each other: their schemas, and writing and reading them in bounded memory.

Schemas are explicit: inferred from the first rows, a column that starts with nulls would get the wrong type.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distillation_stages.runtime.content import Digests, listed, require_unchanged
from distillation_stages.runtime.storage import Storage, publishing

Row = dict[str, Any]

ROWS_PER_BATCH = 256
"""Rows in memory at once while reading or writing; a conversation is some kilobytes."""

_PROMPT = pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())]))

PREPARED = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("prompt", _PROMPT, nullable=False),
        pa.field("reference", pa.string()),
    ]
)
"""What prepare writes."""

COMPLETIONS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("prompt", _PROMPT, nullable=False),
        pa.field("reference", pa.string()),
        pa.field("completion", pa.string(), nullable=False),
        pa.field("finishReason", pa.string(), nullable=False),
        pa.field("promptTokens", pa.int32(), nullable=False),
        pa.field("completionTokens", pa.int32(), nullable=False),
        pa.field("sampledTokens", pa.list_(pa.int32())),
    ]
)
"""What generate writes."""

VOCABULARY = "vocabulary"
"""Key in the metadata of such a table: the hash of the vocabulary that its sampledTokens are of."""

TOOL_USE = "toolUse"
"""The column, of tables with tools alone, that ``tool_use`` writes and reads."""


def schema_for(schema: pa.Schema, with_tools: bool) -> pa.Schema:
    """The table's schema, with the column of tools where there are some."""
    return schema.append(pa.field(TOOL_USE, pa.string())) if with_tools else schema


def split_evenly(total: int, pieces: int) -> list[range]:
    """``range(total)`` in ``pieces`` contiguous ranges whose lengths differ by at most one."""
    return [range(i * total // pieces, (i + 1) * total // pieces) for i in range(pieces)]


def write_table(
    path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, object]], metadata: Mapping[str, str] | None = None
) -> int:
    """Publish the rows as one Parquet file, whole or not at all; returns their number."""
    count = 0
    with (
        publishing(path) as temporary,
        pq.ParquetWriter(temporary, schema.with_metadata(dict(metadata or {})), compression="zstd") as writer,
    ):
        for batch in batched(rows, ROWS_PER_BATCH):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=writer.schema))
            count += len(batch)
    return count


def batched[T](items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of ``size``, the last one shorter."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def parts_of(directory: Path) -> list[Path]:
    """The Parquet files of a table, in the order of their rows."""
    return sorted(directory.glob("*.parquet"))


def listed_parts(storage: Storage, directory: str, output: str) -> Digests:
    """The Parquet files of a stage's table by its marker, in the order of their rows.

    A marker that names none but has read rows is of a run by hand: the files that are there then.
    """
    marker = storage.require_marker(directory)
    folder = storage.at(marker.outputs[output])
    if not marker.parts and marker.counts.get("read") != 0:
        return dict.fromkeys(parts_of(folder), "")
    return listed(storage, directory, marker, folder)


def unchanged_parts(storage: Storage, directory: str, output: str) -> list[Path]:
    """The same, once their content is seen to be what the stage has written. Raises StageError."""
    parts = listed_parts(storage, directory, output)
    require_unchanged(directory, parts, whole=True)
    return list(parts)


def count_rows(parts: Iterable[Path]) -> int:
    """The number of rows in the parts, from their footers."""
    return sum(pq.read_metadata(part).num_rows for part in parts)


def read_rows(parts: Iterable[Path], wanted: range | None = None, columns: list[str] | None = None) -> Iterator[Row]:
    """The rows of the parts in order; with ``wanted`` (step 1) those positions only, other parts aren't read."""
    first = 0
    for part in parts:
        with pq.ParquetFile(part) as file:
            end = first + file.metadata.num_rows
            if wanted is None:
                yield from _rows(file, columns)
            elif first < wanted.stop and wanted.start < end:
                for position, row in enumerate(_rows(file, columns), start=first):
                    if position >= wanted.stop:
                        break
                    if position >= wanted.start:
                        yield row
            first = end
        if wanted is not None and first >= wanted.stop:
            return


def batches_of(file: pq.ParquetFile, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, some at a time; of the file a row group is in memory, and the whole of it never."""
    for group in range(file.num_row_groups):
        # Asked for all row groups at once, pyarrow fetches what is wanted of each before it gives the first rows.
        yield from file.iter_batches(batch_size=ROWS_PER_BATCH, row_groups=[group], columns=columns)


def _rows(file: pq.ParquetFile, columns: list[str] | None) -> Iterator[Row]:
    for batch in batches_of(file, columns):
        yield from batch.to_pylist()
