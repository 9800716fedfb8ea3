"""Known dataset formats: which one rows have that can't be read as asked, and what of a row is read by nobody."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from distillation_stages.data.columns import Columns
from distillation_stages.runtime.failure import RowRejected


@dataclass(frozen=True)
class Format:
    """A dataset format that many datasets have."""

    name: str
    columns: Columns


FORMATS = (
    Format("chat messages", Columns(messages="messages")),
    Format("ShareGPT", Columns(messages="conversations")),
    Format("Alpaca", Columns(prompt="instruction", response="output")),
    Format("Dolly", Columns(prompt="instruction", response="response")),
    Format("question and answer", Columns(prompt="question", response="answer")),
    Format("OpenOrca", Columns(prompt="question", response="response")),
    Format("query and response", Columns(prompt="query", response="response")),
    Format("prompt and completion", Columns(prompt="prompt", response="completion")),
    Format("prompt and response", Columns(prompt="prompt", response="response")),
    Format("preference pairs", Columns(messages="chosen")),
)
"""docs/data.md explains them; of two that fit, the first is named."""

QUESTION_PARTS = frozenset({"input", "context", "passage", "document", "instruction", "question"})
"""Columns that hold a part of the question in known formats, or all of it."""

SYSTEM_TEXTS = frozenset({"system", "system_prompt"})
"""Columns that hold the system message in known formats."""

LOOKED_AT = QUESTION_PARTS | SYSTEM_TEXTS
"""Columns, in lower case, whose text ``unread`` looks at."""


def hint(rows: Collection[Mapping[str, object]], asked: Collection[str]) -> str:
    """A sentence that names the format which reads most of these rows, and its lines of the spec.

    Empty when no format reads any by other columns than those that are ``asked`` for.
    """
    others = [known for known in (*FORMATS, *_columns_of_lists(rows)) if not set(known.columns.names) <= set(asked)]
    read = {known: sum(_reads(known.columns, row) for row in rows) for known in others}
    nearest = max(others, key=read.__getitem__)
    return f"The nearest known format is {nearest.name}: set {nearest.columns.in_spec()}" if read[nearest] else ""


def unread(row: Mapping[str, object], asked: Columns) -> Iterator[str]:
    """The columns of the row that nobody reads, though they hold text that looks like a part of the question."""
    suspects = SYSTEM_TEXTS if asked.prompt is None else LOOKED_AT
    for name, value in row.items():
        if name.casefold() in suspects and name not in asked.names and isinstance(value, str) and value.strip():
            yield name


def _columns_of_lists(rows: Iterable[Mapping[str, object]]) -> list[Format]:
    """Formats of columns that no known one has, but whose lists may be messages, under a name that can be told."""
    names = sorted(
        {name for row in rows for name, value in row.items() if isinstance(value, list) and name.isprintable()}
    )
    return [Format("chat messages", Columns(messages=name)) for name in names]


def _reads(columns: Columns, row: Mapping[str, object]) -> bool:
    try:
        columns.read(row)
    except RowRejected:
        return False
    return True
