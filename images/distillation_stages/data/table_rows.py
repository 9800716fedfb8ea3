"""Rows of Parquet and Arrow files, of which only columns that somebody looks at are read.

So images aren't loaded where their paths show that they are there, nor does it matter that other columns differ between
files, which the library's builders refuse (CastError).
"""

from collections.abc import Callable, Collection, Iterator
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from distillation_stages.data.formats import is_looked_at
from distillation_stages.data.media_columns import is_media
from distillation_stages.data.tables import ROWS_PER_BATCH, batches_of

Row = dict[str, object]

SOME_BYTES = "bytes"
"""What stands in a row for bytes that nobody reads, but that say what the row is about."""


def parquet_rows(stream: IO[bytes], columns: Collection[str] | None) -> Iterator[Row]:
    """The rows of a Parquet file; with ``columns`` these alone, and texts that are looked at beside them."""
    with pq.ParquetFile(stream) as file:
        wanted = _wanted(file.schema_arrow, columns)
        unnamed = _unnamed_bytes(file.schema_arrow, columns)
        for batch in batches_of(file, [_smallest(file.schema, name) if name in unnamed else name for name in wanted]):
            yield from _complete(batch, file.schema_arrow, columns)


def arrow_rows(stream: IO[bytes], columns: Collection[str] | None) -> Iterator[Row]:
    """The rows of an Arrow file or stream, as ``save_to_disk`` writes it; columns as in ``parquet_rows``."""
    schema, batches = _arrow_batches(stream)
    for batch in batches():
        chosen = batch.select(_wanted(schema, columns))
        for start in range(0, batch.num_rows, ROWS_PER_BATCH):
            yield from _complete(chosen.slice(start, ROWS_PER_BATCH), schema, columns)


def parquet_row_count(stream: IO[bytes]) -> int:
    """The number of rows, from the file's footer."""
    return int(pq.read_metadata(stream).num_rows)


def _arrow_batches(stream: IO[bytes]) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
    if stream.read(6) == b"ARROW1":
        file = pa.ipc.open_file(stream)
        return file.schema, lambda: map(file.get_batch, range(file.num_record_batches))
    stream.seek(0)
    reader = pa.ipc.open_stream(stream)
    return reader.schema, lambda: iter(reader)


def _wanted(schema: pa.Schema, columns: Collection[str] | None) -> list[str]:
    """Names of columns to read; all but those of bytes (images, sounds) without ``columns``."""
    if columns is None:
        return [field.name for field in schema if not _has_bytes(field.type)]
    return [
        field.name
        for field in schema
        if field.name in columns
        or (is_looked_at(field.name) and _is_text_or_nested(field.type) and not _has_bytes(field.type))
        or (is_media(field.name) and _has_bytes(field.type))
    ]


def _unnamed_bytes(schema: pa.Schema, columns: Collection[str] | None) -> list[str]:
    """The columns of bytes of which it is only asked whether there are some."""
    return [
        field.name
        for field in schema
        if columns is not None and field.name not in columns and is_media(field.name) and _has_bytes(field.type)
    ]


def _smallest(schema: pq.ParquetSchema, name: str) -> str:
    """What to read of a column to see in which rows it has something: a member that is no bytes, where it has one."""
    members = [schema.column(number) for number in range(len(schema.names))]
    without = [
        member.path
        for member in members
        if member.path.startswith(f"{name}.")
        and (member.logical_type.type == "STRING" or "BYTE_ARRAY" not in member.physical_type)
    ]
    return str(without[0]) if without else name


def _without_bytes(batch: pa.RecordBatch, names: Collection[str]) -> pa.RecordBatch:
    """The batch with SOME_BYTES in place of what these columns hold."""
    for position, name in enumerate(batch.schema.names):
        if name in names:
            column = batch.column(position)
            is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
            is_there = pc.greater(pc.list_value_length(column), 0) if is_list else pc.is_valid(column)
            batch = batch.set_column(position, name, pc.if_else(is_there, SOME_BYTES, None))
    return batch


def _complete(batch: pa.RecordBatch, schema: pa.Schema, columns: Collection[str] | None) -> Iterator[Row]:
    """The batch's rows; when all columns are asked for, with those that aren't read as null, so that they are known."""
    unread = dict.fromkeys(schema.names) if columns is None else {}
    texts = [field.name for field in batch.schema if field.name in (columns or ()) and _has_bytes(field.type)]
    for row in _as_objects(_without_bytes(batch, _unnamed_bytes(schema, columns))):
        for name in texts:
            row[name] = _as_text(row[name])
        yield {**unread, **row} if unread else row


def _as_objects(batch: pa.RecordBatch) -> list[Row]:
    """The batch's rows, with maps as objects, as Spark writes these."""
    try:
        return list(batch.to_pylist(maps_as_pydicts="strict"))
    except KeyError:
        # Some map has a key twice. Its row is no other one's matter.
        rows: list[Row] = []
        for position in range(batch.num_rows):
            one = batch.slice(position, 1)
            try:
                rows += one.to_pylist(maps_as_pydicts="strict")
            except KeyError:
                rows += one.to_pylist()
        return rows


def _as_text(value: object) -> object:
    """The value with its bytes as texts, of tables that don't mark these as such; bytes that aren't UTF-8 stay."""
    match value:
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value
        case list():
            return [_as_text(member) for member in value]
        case dict():
            return {name: _as_text(member) for name, member in value.items()}
    return value


def _is_text_or_nested(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text_or_nested(kind.value_type)
    if pa.types.is_nested(kind):
        return True
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _has_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_has_bytes(kind.field(number).type) for number in range(kind.num_fields))
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )
