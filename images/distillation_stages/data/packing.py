"""Rows of token ids packed into sequences of one length, and the Parquet files that hold them.

A row stays whole: attention and positions begin anew with it. What isn't learnt is masked, not left out.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from distillation_stages.data.tables import batched
from distillation_stages.data.token_rows import TokenRow
from distillation_stages.runtime.storage import publish_bytes, publishing

OPEN_SEQUENCES = 64
"""Sequences that still take rows. More of them leave fewer gaps, but the order of the rows is kept less well."""

SEQUENCES_PER_GROUP = 64
"""Of a row group, the least that a reader fetches."""

SEQUENCES_PER_FILE = 4096

MANIFEST = "manifest.json"

COLUMNS: dict[str, Any] = {
    "tokens": pa.int32(),
    "learnt": pa.bool_(),
    "positions": pa.int32(),
    "segments": pa.int32(),
}
"""Of a sequence; each has one value per place. The mask belongs to the token itself: who shifts the tokens to get
labels shifts it with them. Positions begin anew with each row, segments are the row's number in the sequence: from 1,
padding is 0."""

Sequences = dict[str, NDArray[Any]]
"""By column, an array of sequences by places."""


@dataclass
class Packed:
    """Rows one behind the other, as long as all others of a run when it is padded."""

    rows: list[TokenRow] = field(default_factory=list)

    @property
    def used(self) -> int:
        """How many tokens the rows have."""
        return sum(len(row.tokens) for row in self.rows)

    def columns(self, length: int, padding: int) -> Sequences:
        """One sequence."""
        sizes = [len(row.tokens) for row in self.rows]
        values = {
            "tokens": np.concatenate([row.tokens for row in self.rows]),
            "learnt": np.concatenate([row.learnt for row in self.rows]),
            "positions": np.concatenate([np.arange(size) for size in sizes]),
            "segments": np.repeat(np.arange(1, len(sizes) + 1), sizes),
        }
        rest = (0, length - sum(sizes))
        return {
            name: np.pad(column, rest, constant_values=padding if name == "tokens" else 0)
            for name, column in values.items()
        }


def pack(rows: Iterable[TokenRow], length: int) -> Iterator[Packed]:
    """The rows in sequences of at most ``length`` tokens: each goes to the oldest open sequence that has room.

    The same rows in the same order give the same sequences.
    """
    opened: list[tuple[Packed, int]] = []
    for row in rows:
        size = len(row.tokens)
        place = next((place for place, (_, room) in enumerate(opened) if room >= size), None)
        if place is None:
            if len(opened) == OPEN_SEQUENCES:
                yield opened.pop(0)[0]
            opened.append((Packed(), length))
            place = len(opened) - 1
        packed, room = opened[place]
        packed.rows.append(row)
        opened[place] = (packed, room - size)
        if room == size:
            yield opened.pop(place)[0]
    yield from (packed for packed, _ in opened)


def one_by_one(rows: Iterable[TokenRow]) -> Iterator[Packed]:
    """Each row in a sequence of its own."""
    return (Packed([row]) for row in rows)


@dataclass
class Manifest:
    """What the files hold."""

    length: int
    sequences: int = 0
    rows: int = 0
    """Each as often as it is read."""
    tokens: int = 0
    trained_tokens: int = 0

    @property
    def efficiency(self) -> float:
        """Trained tokens over all places for one; 0 without any."""
        return self.trained_tokens / (self.sequences * self.length) if self.sequences else 0.0

    def as_written(self) -> dict[str, int | float]:
        """The members of the file."""
        return {
            "maxTargetLength": self.length,
            "sequences": self.sequences,
            "rowsRead": self.rows,
            "tokens": self.tokens,
            "trainedTokens": self.trained_tokens,
            "efficiency": self.efficiency,
        }

    def add(self, packed: Packed) -> None:
        """Count one more sequence."""
        self.sequences += 1
        self.rows += len(packed.rows)
        self.tokens += packed.used
        self.trained_tokens += sum(row.trained for row in packed.rows)


def write_sequences(sequences: Iterable[Packed], length: int, padding: int, directory: Path) -> Manifest:
    """Write the sequences in their order as Parquet files."""
    schema = pa.schema([pa.field(name, pa.list_(kind, length)) for name, kind in COLUMNS.items()])
    directory.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(length)
    for number, part in enumerate(batched(sequences, SEQUENCES_PER_FILE)):
        with (
            publishing(directory / part_name(number)) as temporary,
            pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
        ):
            for group in batched(part, SEQUENCES_PER_GROUP):
                writer.write_table(_table(group, length, padding, schema), row_group_size=SEQUENCES_PER_GROUP)
        for packed in part:
            manifest.add(packed)
    return manifest


def write_manifest(directory: Path, members: dict[str, Any]) -> None:
    """Publish the manifest beside the files, after them."""
    publish_bytes(directory / MANIFEST, json.dumps(members, indent=1).encode())


def part_name(number: int) -> str:
    """The name of the file that holds the sequences from ``number`` times 4096 on."""
    return f"part-{number:05d}.parquet"


class SequenceFiles:
    """The sequences in a directory by their number, each row group read once while it is in use."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # A reader goes through its sequences in order; the second group is the one before.
        self._group = lru_cache(maxsize=2)(self._read_group)

    def __getitem__(self, index: int) -> Sequences:
        """One sequence: by column, an array of places."""
        group, place = divmod(index, SEQUENCES_PER_GROUP)
        return {name: column[place] for name, column in self._group(group).items()}

    def _read_group(self, group: int) -> Sequences:
        number, inside = divmod(group, SEQUENCES_PER_FILE // SEQUENCES_PER_GROUP)
        with pq.ParquetFile(self._directory / part_name(number)) as file:
            table = file.read_row_group(inside, columns=list(COLUMNS))
        return {name: _as_array(table.column(name)) for name in COLUMNS}


def _table(group: list[Packed], length: int, padding: int, schema: pa.Schema) -> pa.Table:
    columns = [packed.columns(length, padding) for packed in group]
    arrays = [
        pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate([one[name] for one in columns]), kind), length)
        for name, kind in COLUMNS.items()
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _as_array(column: pa.ChunkedArray) -> NDArray[Any]:
    values = column.combine_chunks()
    return np.asarray(values.flatten().to_numpy(zero_copy_only=False)).reshape(len(values), -1)
