"""What a source is read as: rows in an order that is the same every time, and what is told of them."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from distillation_stages.runtime.failure import RowRejected

SourceRow = dict[str, object] | RowRejected
"""A row's columns, or why the row can't even be read."""


@dataclass(frozen=True)
class Dataset:
    """A dataset's rows."""

    name: str
    """For messages."""
    read: Callable[[Collection[str] | None], Iterator[SourceRow]]
    """The rows from the first on. Of tables only these columns are read, and texts that are looked at beside them; for
    None all."""
    total: int | None = None
    """Number of rows; None when the source doesn't say."""
    passed_over: Sequence[str] = ()
    """Files that aren't read though they may hold rows."""
    versions: dict[str, str] = field(default_factory=dict)
