"""Examples of rows that can't be used: their shape for messages, which more people read than the data, and the rows
themselves for a file beside it.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from distillation_api.reasons.reason import RowReason
from distillation_stages.data.dataset import SourceRow
from distillation_stages.runtime.failure import RowRejected
from distillation_stages.runtime.storage import publish_bytes

FILE = "rejected-rows.jsonl"

ROWS_PER_REASON = 3
LETTERS_OF_ROW = 4_000
LETTERS_OF_SHAPE = 200
LETTERS_OF_NAME = 40
MEMBERS = 8
DEPTH = 4


class RejectedRows:
    """The first rows of each reason."""

    def __init__(self) -> None:
        self._seen: Counter[RowReason] = Counter()
        self._lines: list[str] = []
        self.first = ""
        """Where the first of all stands, why it is left out, and its shape."""

    def add(self, position: int, row: SourceRow, rejected: RowRejected) -> None:
        """Keep it, if it is one of the first."""
        reason = rejected.reason
        self.first = self.first or f"row {position} ({reason.name}): {shape(row)}"
        self._seen[reason] += 1
        if self._seen[reason] <= ROWS_PER_REASON:
            members = {"row": position, "reason": reason.name, "detail": rejected.detail, "is": _as_is(row)}
            self._lines.append(json.dumps(members, default=str))

    def write(self, directory: Path) -> Path | None:
        """Publish them as a file of the directory; None without any."""
        if not self._lines:
            return None
        publish_bytes(directory / FILE, "".join(f"{line}\n" for line in self._lines).encode())
        return directory / FILE


def shape(row: SourceRow) -> str:
    """The names of a row's members, with what kind and how much they hold."""
    if isinstance(row, RowRejected):
        return "can't be read"
    return _shortened("".join(_shape(row, 0)), LETTERS_OF_SHAPE)


def _shape(value: object, depth: int) -> Iterator[str]:
    match value:
        case None:
            yield "null"
        case bool():
            yield "a boolean"
        case int() | float():
            yield "a number"
        case str():
            yield f"text of {len(value)}"
        case list() | dict() if depth == DEPTH:
            yield "..."
        case list():
            # Most lists have members alike: turns of one conversation.
            yield "["
            if value:
                yield from _shape(value[0], depth + 1)
            yield f", {len(value)} in all]" if len(value) > 1 else "]"
        case dict():
            yield "{"
            for number, (name, member) in enumerate(value.items()):
                yield ", " if number else ""
                if number == MEMBERS:
                    yield "..."
                    break
                yield f"{_shortened(json.dumps(str(name)), LETTERS_OF_NAME)}: "
                yield from _shape(member, depth + 1)
            yield "}"
        case _:
            yield type(value).__name__


def _as_is(row: SourceRow) -> str | None:
    """The row as JSON; None of one that can't be read."""
    return None if isinstance(row, RowRejected) else _shortened(json.dumps(row, default=str), LETTERS_OF_ROW)


def _shortened(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 3]}..."
