"""The chunks of one shard: planned the same way at every start, published whole, and written down in a ledger.

The ledger (``ledger.jsonl``, one line per published chunk) holds each chunk's row range, counts, token counts and
digest. A chunk counts as made when its file is what its line says; one that a killed pod had no time to write down is
known by its file's own metadata. Anything else is made again.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distillation_api import reasons
from distillation_stages.data.tables import COMPLETIONS, TOOL_USE, VOCABULARY, Row, schema_for, write_table
from distillation_stages.runtime.storage import publish_bytes, remove_temporaries, sha256_of

LEDGER_NAME = "ledger.jsonl"

_METADATA = "chunk"
"""Key in a chunk's Parquet metadata: its entry without the digest, as JSON."""


@dataclass(frozen=True)
class Slot:
    """A chunk that is to be: its file, and the positions of its rows in the prepared dataset."""

    path: Path
    positions: range


@dataclass(frozen=True)
class Entry:
    """A published chunk."""

    file: str
    first: int
    end: int
    """Position after its last row."""
    counts: dict[str, int]
    """read, kept, train, holdout, duplicates and rejected.REASON; read = kept + duplicates + all rejected."""
    prompt_tokens: int
    completion_tokens: int
    """Of the kept answers."""
    examples: dict[str, str]
    """For each reason to reject, what one rejected row looked like."""
    sha256: str = ""

    def is_for(self, slot: Slot) -> bool:
        """True when it holds the rows of that slot."""
        return (self.file, self.first, self.end) == (slot.path.name, slot.positions.start, slot.positions.stop)

    @property
    def lost(self) -> int:
        """Answers that were wanted and are neither there nor duplicates."""
        return sum(reasons.rejections(self.counts).values())


def plan(directory: Path, pieces: Iterable[range], chunk_rows: int) -> list[Slot]:
    """The shard's chunks, of all its pieces."""
    chunks = [
        range(start, min(start + chunk_rows, piece.stop))
        for piece in pieces
        for start in range(piece.start, piece.stop, chunk_rows)
    ]
    return [Slot(directory / f"chunk-{number:05d}.parquet", rows) for number, rows in enumerate(chunks)]


class Ledger:
    """What is published of a shard."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / LEDGER_NAME
        self._entries: dict[str, Entry] = {}
        self.vocabulary = ""
        """The hash of the vocabulary that the rows' sampledTokens are of; written into each chunk."""

    @classmethod
    def open(cls, directory: Path, slots: Iterable[Slot]) -> "Ledger":
        """The ledger of the slots' chunks that are there and right; what a killed pod was writing is removed."""
        remove_temporaries(directory)
        ledger = cls(directory)
        written = _read(ledger._path)
        for slot in slots:
            entry = _of_file(slot)
            if entry is None:
                continue
            known = written.get(slot.path.name)
            if known is None or known == entry:
                ledger._entries[slot.path.name] = entry
        return ledger

    @property
    def path(self) -> Path:
        """Its file."""
        return self._path

    def entry(self, slot: Slot) -> Entry | None:
        """The slot's chunk; None when it is to be made."""
        return self._entries.get(slot.path.name)

    def publish(self, slot: Slot, rows: list[Row], counts: Mapping[str, int], examples: Mapping[str, str]) -> Entry:
        """Write the slot's chunk, then its line."""
        entry = Entry(
            file=slot.path.name,
            first=slot.positions.start,
            end=slot.positions.stop,
            counts=dict(counts),
            prompt_tokens=sum(row["promptTokens"] for row in rows),
            completion_tokens=sum(row["completionTokens"] for row in rows),
            examples=dict(examples),
        )
        schema = schema_for(COMPLETIONS, with_tools=any(TOOL_USE in row for row in rows))
        metadata = {_METADATA: json.dumps(_members(entry)), VOCABULARY: self.vocabulary}
        write_table(slot.path, schema, rows, metadata)
        published = _with_digest(entry, slot.path)
        self._entries[slot.path.name] = published
        self.write()
        return published

    def write(self) -> None:
        """Publish the ledger's file."""
        lines = [json.dumps({**_members(entry), "sha256": entry.sha256}) for _, entry in sorted(self._entries.items())]
        publish_bytes(self._path, "".join(f"{line}\n" for line in lines).encode())

    def counts(self) -> dict[str, int]:
        """Over all its chunks, with the kept answers' tokens."""
        total = Counter({"read": 0, "kept": 0, "train": 0, "holdout": 0})
        for entry in self._entries.values():
            total.update(entry.counts)
            total.update({"promptTokens": entry.prompt_tokens, "completionTokens": entry.completion_tokens})
        return dict(total)

    def digests(self) -> dict[str, str]:
        """SHA-256 by file name."""
        return {name: entry.sha256 for name, entry in sorted(self._entries.items())}

    @property
    def lost(self) -> int:
        """Answers lost in all its chunks."""
        return sum(entry.lost for entry in self._entries.values())


def _members(entry: Entry) -> dict[str, Any]:
    return {
        "file": entry.file,
        "first": entry.first,
        "end": entry.end,
        "counts": entry.counts,
        "promptTokens": entry.prompt_tokens,
        "completionTokens": entry.completion_tokens,
        "examples": entry.examples,
    }


def _entry(members: Mapping[str, Any]) -> Entry:
    return Entry(
        file=members["file"],
        first=members["first"],
        end=members["end"],
        counts=dict(members["counts"]),
        prompt_tokens=members["promptTokens"],
        completion_tokens=members["completionTokens"],
        examples=dict(members["examples"]),
        sha256=members.get("sha256", ""),
    )


def _with_digest(entry: Entry, path: Path) -> Entry:
    return _entry({**_members(entry), "sha256": sha256_of(path)})


def _of_file(slot: Slot) -> Entry | None:
    """What the slot's file says of itself; None when it isn't there, isn't whole or has other rows."""
    try:
        metadata = pq.read_metadata(slot.path).metadata or {}
        entry = _entry(json.loads(metadata[_METADATA.encode()]))
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException):
        return None
    return _with_digest(entry, slot.path) if entry.is_for(slot) else None


def _read(path: Path) -> dict[str, Entry]:
    try:
        lines = path.read_text().splitlines()
        entries = [_entry(json.loads(line)) for line in lines]
    except (OSError, KeyError, ValueError, TypeError):
        return {}
    return {entry.file: entry for entry in entries}
