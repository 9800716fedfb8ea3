"""Rows of token ids packed into sequences of one length, and the Parquet files that hold them.

A row stays whole: attention and positions begin anew with it. What isn't learnt is masked, not left out.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

OPEN_SEQUENCES = 64
"""Sequences that still take rows. More of them leave fewer gaps, but the order of the rows is kept less well."""

SEQUENCES_PER_GROUP = 64
"""Of a row group, the least that a reader fetches."""

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class TokenRow:
    """One row of training as token ids."""

    tokens: tuple[int, ...]
    learnt: tuple[bool, ...]
    """Of each token, whether the student learns to say it."""
    cut: bool = False
    """Whether some of the row lay beyond the length."""

    @property
    def trained(self) -> int:
        """How many of the tokens are learnt."""
        return sum(self.learnt)


def token_row(segments: Iterable[tuple[Sequence[int], bool]], length: int) -> TokenRow:
    """The row of segments, each with whether it is learnt, up to the length.

    The first token follows nothing, so it can't be learnt.
    """
    tokens: list[int] = []
    learnt: list[bool] = []
    for segment, is_learnt in segments:
        tokens += segment
        learnt += [is_learnt] * len(segment)
    if learnt:
        learnt[0] = False
    return TokenRow(tuple(tokens[:length]), tuple(learnt[:length]), len(tokens) > length)


@dataclass
class Packed:
    """Rows one behind the other, as long as all others of a run when it is padded."""

    rows: list[TokenRow] = field(default_factory=list)

    @property
    def used(self) -> int:
        """How many tokens the rows have."""
        return sum(len(row.tokens) for row in self.rows)

    def columns(self, length: int, padding: int) -> dict[str, list[int] | list[bool]]:
        """Token ids, loss mask, positions within the row, and the row's number in the sequence: from 1, padding is 0.

        The mask belongs to the token itself. A trainer that shifts the tokens to get its labels shifts it with them.
        """
        rest = length - self.used
        return {
            "tokens": [token for row in self.rows for token in row.tokens] + [padding] * rest,
            "learnt": [learnt for row in self.rows for learnt in row.learnt] + [False] * rest,
            "positions": [position for row in self.rows for position in range(len(row.tokens))] + [0] * rest,
            "segments": [number for number, row in enumerate(self.rows, 1) for _ in row.tokens] + [0] * rest,
        }


def pack(rows: Iterable[TokenRow], length: int) -> Iterator[Packed]:
    """The rows in sequences of at most ``length`` tokens: each goes to the oldest open sequence that has room.

    The same rows in the same order give the same sequences. Rows without tokens are passed over.
    """
    opened: list[tuple[Packed, int]] = []
    for row in rows:
        size = len(row.tokens)
        if size > length:
            raise ValueError(f"a row of {size} tokens was not cut at {length}")
        if not size:
            continue
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


@dataclass
class Manifest:
    """What the files hold."""

    length: int
    sequences: int = 0
    rows: int = 0
    """Each as often as it is read."""
    tokens: int = 0
    trained_tokens: int = 0
    cut: int = 0
    """Rows of which some lay beyond the length."""

    @property
    def efficiency(self) -> float:
        """Trained tokens over all places for one; 0 without any."""
        return self.trained_tokens / (self.sequences * self.length) if self.sequences else 0.0

    def as_written(self) -> dict[str, int | float]:
        """The members of the file."""
        return {
            "maxTargetLength": self.length,
            "sequences": self.sequences,
            "rows": self.rows,
            "tokens": self.tokens,
            "trainedTokens": self.trained_tokens,
            "cut": self.cut,
            "efficiency": self.efficiency,
        }

    def add(self, packed: Packed) -> None:
        """Count one more sequence."""
        self.sequences += 1
        self.rows += len(packed.rows)
        self.tokens += packed.used
        self.trained_tokens += sum(row.trained for row in packed.rows)
        self.cut += sum(row.cut for row in packed.rows)


def write_sequences(
    sequences: Iterable[Packed], length: int, padding: int, directory: Path, per_file: int = 4096
) -> Manifest:
    """Write the sequences in their order as Parquet files, and the manifest after them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"tokens": pa.int32(), "learnt": pa.bool_(), "positions": pa.int32(), "segments": pa.int32()}
    schema = pa.schema([pa.field(name, pa.list_(kind)) for name, kind in kinds.items()])
    directory.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(length)
    held: list[dict[str, list[int] | list[bool]]] = []
    files = 0

    def write() -> None:
        nonlocal files
        table = pa.Table.from_pylist(held, schema=schema)
        pq.write_table(table, directory / f"part-{files:05d}.parquet", row_group_size=SEQUENCES_PER_GROUP)
        files += 1
        held.clear()

    for packed in sequences:
        manifest.add(packed)
        held.append(packed.columns(length, padding))
        if len(held) == per_file:
            write()
    if held:
        write()
    (directory / MANIFEST).write_text(json.dumps(manifest.as_written()))
    return manifest
