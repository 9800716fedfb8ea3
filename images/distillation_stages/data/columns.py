"""Where a dataset keeps its conversations: in one column of messages, or in a prompt and a response column."""

from collections.abc import Mapping
from dataclasses import dataclass

from distillation_api import reasons
from distillation_stages.data.conversations import Conversation, from_columns, from_messages
from distillation_stages.runtime.failure import RowRejected

MESSAGES = "messages"
"""The messages column when no column is named at all."""


@dataclass(frozen=True)
class Columns:
    """The columns that are read, as a dataset's spec names them."""

    messages: str | None = None
    prompt: str | None = None
    """When given, ``messages`` isn't read."""
    response: str | None = None

    @property
    def names(self) -> list[str]:
        """The columns that the dataset must have."""
        if self.prompt is None:
            return [self.messages or MESSAGES]
        return [self.prompt, *([self.response] if self.response is not None else [])]

    def read(self, row: Mapping[str, object]) -> Conversation:
        """The row's conversation. Raises RowRejected."""
        if any(name not in row for name in self.names):
            raise RowRejected(reasons.NO_COLUMN)
        values = [row[name] for name in self.names]
        return from_messages(values[0]) if self.prompt is None else from_columns(*values)

    def in_spec(self) -> str:
        """The lines of a spec that name them."""
        members = {"messagesColumn": self.messages, "promptColumn": self.prompt, "responseColumn": self.response}
        return ", ".join(f"dataset.{member}: {name}" for member, name in members.items() if name is not None)
