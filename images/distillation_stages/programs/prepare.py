"""Prepare: a dataset as conversations in Parquet, the holdout split off, every row accounted for."""

import hashlib
import heapq
import itertools
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from distillation_api import reasons
from distillation_api.contract import DIRECTORY_RENAME, MessageSpelling, PrepareProgram, StageResult, StageSpec
from distillation_api.reasons.reason import RowReason
from distillation_stages.data.columns import Columns
from distillation_stages.data.conversations import Conversation
from distillation_stages.data.dataset import Dataset, SourceRow
from distillation_stages.data.formats import also_reading, hint, unread
from distillation_stages.data.media_columns import check_media
from distillation_stages.data.normalise import KNOWN, Conversion, Vocabulary
from distillation_stages.data.prompt_template import PromptTemplate
from distillation_stages.data.rejected_rows import RejectedRows
from distillation_stages.data.sources import open_dataset, require_columns, rows_with
from distillation_stages.data.tables import (
    PREPARED,
    TOOL_USE,
    Row,
    parts_of,
    read_rows,
    schema_for,
    split_evenly,
    write_table,
)
from distillation_stages.data.tool_use import stored
from distillation_stages.runtime.directory_rename import directory_rename
from distillation_stages.runtime.failure import RowRejected, StageError
from distillation_stages.runtime.reporting import Reporter, say
from distillation_stages.runtime.storage import Storage, sha256_of

MIN_PARTS = 8
"""Parts that training's hosts share: each host reads its own."""

MAX_ROWS_PER_PART = 20_000

ROWS_FOR_A_HINT = 8
"""Rejected rows that are compared with known formats."""

FIRST_ROWS = 10_000
"""Rows among which they are looked for: they are read again, with all their columns."""


@dataclass
class Kept:
    """The rows that passed, in order of the source. What grows with the data is some tens of bytes a row."""

    spool: Path
    """The rows themselves, a table of PREPARED with the column of tools."""
    keys: list[bytes] = field(default_factory=list)
    """Per row: what decides whether it is held out."""
    answers: list[int] = field(default_factory=list)
    """Per row: the number of the dataset's own answers."""
    groups: list[bytes] = field(default_factory=list)
    """Per row: its group's key; empty without a group column."""
    with_tools: int = 0
    with_turn_members: bool = False
    """Whether a row has more than the texts of its turns."""
    """Rows with tools, calls of them or their results."""
    read: int = 0
    duplicates: int = 0
    rejected: Counter[RowReason] = field(default_factory=Counter)
    details: dict[RowReason, str] = field(default_factory=dict)
    """By reason: the first detail that a row was rejected with."""
    converted: Counter[Conversion] = field(default_factory=Counter)
    """Rows that were brought to the standard form and not rejected."""
    unread: Counter[str] = field(default_factory=Counter)
    """Rows, not rejected, whose column of that name looks like a part of the question and isn't read."""
    nested: set[str] = field(default_factory=set)
    """Those of these columns that hold lists or objects."""
    left_out: RejectedRows = field(default_factory=RejectedRows)
    """Examples of the rejected rows."""
    absent: set[str] = field(default_factory=set)
    """The wanted columns that no row has had."""
    examples: list[int] = field(default_factory=list)
    """Positions of the first rejected rows that are objects."""


def run(spec: StageSpec, storage: Storage) -> StageResult:
    """Normalise the dataset; see PrepareProgram."""
    assert isinstance(spec.program, PrepareProgram)
    program, started = spec.program, time.monotonic()
    columns = columns_of(program)
    wanted = wanted_columns(program, columns)
    with tempfile.TemporaryDirectory() as scratch:
        dataset = open_dataset(program.source, storage, Path(scratch) / "source")
        kept = _keep(program, columns, dataset, Path(scratch) / "kept.parquet", Reporter(spec.stage, "rows"))
        require_columns(dataset, wanted, kept.absent)
        examples = kept.left_out.write(storage.at(spec.output))
        _check(wanted, kept, dataset, storage.relative(examples) if examples else "")
        _warn_of_unread(columns, kept, dataset)
        held = held_out(program, kept)
        work = storage.workspace(spec.output)
        _write(kept, held, work)
    renames = directory_rename(work)
    counts = {
        "read": kept.read,
        "kept": len(kept.keys),
        "train": len(kept.keys) - len(held),
        "answers": sum(answers for position, answers in enumerate(kept.answers) if position not in held),
        "holdout": len(held),
        "duplicates": kept.duplicates,
        **reasons.rejected_counts(kept.rejected),
        **_named("converted", kept.converted),
        **_named("unread", kept.unread),
        **({"withTools": kept.with_tools} if kept.with_tools else {}),
        **({"skippedFiles": len(dataset.passed_over)} if dataset.passed_over else {}),
    }
    output = storage.at(spec.output)
    parts = [part for split in ("train", "holdout") for part in parts_of(work / split)]
    result = StageResult(
        stage=spec.stage,
        fingerprint=spec.fingerprint,
        outputs={split: storage.relative(work / split) for split in ("train", "holdout")},
        counts=counts,
        parts={part.relative_to(output).as_posix(): sha256_of(part) for part in parts},
        settings={DIRECTORY_RENAME: renames} if renames is not None else {},
        versions=dataset.versions,
        seconds=round(time.monotonic() - started, 1),
    )
    return storage.conclude(spec.output, result, work)


def columns_of(program: PrepareProgram) -> Columns:
    """The columns that hold the conversations. Raises StageError when the prompt's template is none."""
    return Columns(
        messages=program.messages_column,
        prompt=program.prompt_column,
        response=program.response_column,
        template=PromptTemplate(program.prompt_template) if program.prompt_template is not None else None,
        system=program.system_column,
        tools=program.tools_column,
        vocabulary=vocabulary_of(program.messages) if program.messages is not None else KNOWN,
    )


def vocabulary_of(spelling: MessageSpelling) -> Vocabulary:
    """The dataset's own spellings, as messages are read by them."""
    keys = {"role": spelling.role_key, "content": spelling.content_key}
    return Vocabulary(
        keys={name: key for name, key in keys.items() if key is not None},
        roles={name: role for role, names in spelling.roles.items() for name in names},
    )


def wanted_columns(program: PrepareProgram, columns: Columns) -> list[str]:
    """The columns that the dataset must have."""
    return [*columns.names, *([program.group_column] if program.group_column is not None else [])]


def normalise(program: PrepareProgram, columns: Columns, row: SourceRow) -> tuple[Conversation, bytes]:
    """The row's conversation and the key of its group (of nothing without a group column). Raises RowRejected."""
    if isinstance(row, RowRejected):
        raise row
    conversation = columns.read(row)
    check_media(row, columns.names, conversation)
    return conversation, _group_key(program, row)


def held_out(program: PrepareProgram, kept: Kept) -> set[int]:
    """Positions among the kept rows that are held out. Raises StageError when nothing would be left to train on."""
    total = len(kept.keys)
    if program.holdout >= total:
        raise StageError(
            reasons.HOLDOUT_TOO_LARGE,
            f"holdout is {program.holdout}, but only {total} rows are left after normalising; it must be smaller",
        )
    if program.group_column is None:
        return set(heapq.nsmallest(program.holdout, range(total), key=kept.keys.__getitem__))
    held: set[bytes] = set()
    rows = 0
    for group, size in sorted(Counter(kept.groups).items()):
        if rows >= program.holdout:
            break
        held.add(group)
        rows += size
    if rows >= total:
        raise StageError(
            reasons.HOLDOUT_TOO_LARGE,
            f"a holdout of {program.holdout} rows takes every group of column {program.group_column!r} "
            f"({len(held)} groups, {total} rows); choose a smaller holdout or a finer column",
        )
    return {position for position, group in enumerate(kept.groups) if group in held}


def _keep(program: PrepareProgram, columns: Columns, dataset: Dataset, spool: Path, reporter: Reporter) -> Kept:
    kept = Kept(spool)
    write_table(spool, schema_for(PREPARED, with_tools=True), _kept_rows(program, columns, dataset, kept, reporter))
    return kept


def _kept_rows(
    program: PrepareProgram, columns: Columns, dataset: Dataset, kept: Kept, reporter: Reporter
) -> Iterator[Row]:
    seen: set[bytes] = set()
    wanted = wanted_columns(program, columns)
    asked = columns.asked if columns.template is None else []
    kept.absent.update(wanted)
    for position, row in enumerate(rows_with(dataset, wanted, asked)):
        kept.read += 1
        if kept.absent and isinstance(row, dict):
            kept.absent.difference_update(row)
        try:
            conversation, group = normalise(program, columns, row)
        except RowRejected as rejected:
            kept.rejected[rejected.reason] += 1
            if rejected.detail:
                kept.details.setdefault(rejected.reason, rejected.detail)
            kept.left_out.add(position, row, rejected)
            if isinstance(row, dict) and len(kept.examples) < ROWS_FOR_A_HINT and position < FIRST_ROWS:
                kept.examples.append(position)
            continue
        kept.converted.update(conversation.conversions)
        if isinstance(row, dict):
            overlooked = list(unread(row, columns))
            kept.unread.update([*overlooked, *columns.overlooked_tools(row, conversation)])
            kept.nested.update(name for name in overlooked if not isinstance(row[name], str))
        digest = conversation.digest()
        if digest in seen:
            kept.duplicates += 1
            continue
        seen.add(digest)
        kept.keys.append(_seeded(program.seed, digest))
        kept.answers.append(conversation.answers)
        kept.groups.extend([group] if program.group_column is not None else [])
        kept.with_tools += conversation.tools is not None or conversation.calls_tools
        members = stored(conversation)
        kept.with_turn_members |= members[TOOL_USE] is not None
        yield {"row": position, **members}
        reporter.progress(*_how_far(program, dataset, kept))
        if len(kept.keys) == program.limit:
            break


def _how_far(program: PrepareProgram, dataset: Dataset, kept: Kept) -> tuple[int, int]:
    """Rows done and rows in all; whichever of the limit and the end of the data is nearer."""
    by_data = (kept.read, dataset.total) if dataset.total is not None else (kept.read, kept.read + 1)
    if program.limit is None:
        return by_data
    return max((len(kept.keys), program.limit), by_data, key=lambda pair: pair[0] / max(pair[1], 1))


def _check(wanted: list[str], kept: Kept, dataset: Dataset, examples: str) -> None:
    rejected = sum(kept.rejected.values())
    causes = ", ".join(_cause(kept, reason, number) for reason, number in kept.rejected.most_common())
    if 2 * rejected > kept.read:
        # The hint comes before the example: messages are cut at their end.
        sentences = [
            f"can't be used: {causes}",
            hint(_whole_rows(dataset, kept.examples), wanted),
            f"Some as they are, in the storage: {examples}. The first: {kept.left_out.first}",
        ]
        raise StageError(
            reasons.MOST_ROWS_REJECTED,
            f"{rejected} of {kept.read} rows of {dataset.name} {'. '.join(filter(None, sentences))}",
        )
    if not kept.keys:
        raise StageError(reasons.NO_ROWS, f"dataset {dataset.name} has no rows that can be used ({kept.read} read)")


def _whole_rows(dataset: Dataset, positions: list[int]) -> list[dict[str, object]]:
    """The rows at these positions, in rising order, with the columns that aren't read otherwise."""
    rows = itertools.islice(dataset.read(None), positions[-1] + 1 if positions else 0)
    return [row for position, row in enumerate(rows) if position in positions and isinstance(row, dict)]


def _cause(kept: Kept, reason: RowReason, number: int) -> str:
    detail = kept.details.get(reason)
    return f"{reason.name} {number}" + (f" ({detail})" if detail else "")


def _warn_of_unread(columns: Columns, kept: Kept, dataset: Dataset) -> None:
    reads = ", ".join(map(repr, columns.names))
    replaced = "" if columns.prompt is None else " in place of promptColumn"
    texts = [name for name in kept.unread if name not in kept.nested]
    for name, rows in sorted(kept.unread.items()):
        line = also_reading(name, texts, columns) if name in texts else ""
        where = f"set{replaced if line.startswith('promptTemplate') else ''} under dataset: {line}"
        spelt = f"write it in dataset.promptTemplate as it should read, such as {{{{ {name} | tojson }}}}"
        other = spelt if name in kept.nested else "write it into the column that is read"
        what = "text" if name in texts else "lists or objects"
        say(
            f"warning: column {name!r} of dataset {dataset.name} has {what} in {rows} rows and isn't read "
            f"({reads} is); if it is a part of what is asked, {where if line else other}"
        )


def _named(what: str, counted: Counter[Conversion] | Counter[str]) -> dict[str, int]:
    return {f"{what}.{name}": number for name, number in sorted(counted.items())}


def _write(kept: Kept, held: set[int], work: Path) -> None:
    total, schema = len(kept.keys), schema_for(PREPARED, with_tools=kept.with_turn_members)
    for split, inside, rows in (("train", False, total - len(held)), ("holdout", True, len(held))):
        chosen = (row for position, row in enumerate(read_rows([kept.spool])) if (position in held) is inside)
        pieces = number_of_parts(rows)
        for number, piece in enumerate(split_evenly(rows, pieces)):
            part = work / split / f"part-{number:05d}-of-{pieces:05d}.parquet"
            write_table(part, schema, itertools.islice(chosen, len(piece)))


def number_of_parts(rows: int) -> int:
    """At least ``MIN_PARTS`` where there are as many rows; one, empty, for no rows, so that the directory exists."""
    return max(min(rows, MIN_PARTS), math.ceil(rows / MAX_ROWS_PER_PART), 1)


def _group_key(program: PrepareProgram, row: dict[str, object]) -> bytes:
    if program.group_column is None:
        return b""
    if program.group_column not in row:
        raise RowRejected(reasons.NO_COLUMN)
    value = row[program.group_column]
    if value is None:
        raise RowRejected(reasons.NO_GROUP)
    return _seeded(program.seed, json.dumps(value, sort_keys=True, default=str).encode())


def _seeded(seed: int, content: bytes) -> bytes:
    """16 bytes that look random, and are the same for the same seed and content on every machine."""
    return hashlib.sha256(f"{seed}\n".encode() + content).digest()[:16]
