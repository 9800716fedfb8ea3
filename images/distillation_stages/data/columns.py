"""Where a dataset keeps its conversations: in one column of messages, or in columns of a prompt and a response."""

from collections.abc import Mapping
from dataclasses import dataclass

from distillation_api import reasons
from distillation_stages.data import tools
from distillation_stages.data.conversations import Conversation, from_columns, from_messages
from distillation_stages.data.normalise import KNOWN, Vocabulary
from distillation_stages.data.prompt_template import PromptTemplate
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
    template: PromptTemplate | None = None
    """When given, neither ``messages`` nor ``prompt`` is read."""
    system: str | None = None
    tools: str | None = None
    """When none is named, messages have theirs in the column of the usual name, where it holds tools."""
    vocabulary: Vocabulary = KNOWN
    """Of the messages column."""

    @property
    def has_messages(self) -> bool:
        """True when conversations are read from a messages column."""
        return self.prompt is None and self.template is None

    @property
    def asked(self) -> list[str]:
        """The columns that hold the question."""
        if self.template is not None:
            return list(self.template.columns)
        return [self.prompt or self.messages or MESSAGES]

    @property
    def names(self) -> list[str]:
        """The columns that the dataset must have; those beside the question may be absent from rows."""
        response = None if self.has_messages else self.response
        beside = [name for name in (response, self.system, self.tools) if name is not None]
        return list(dict.fromkeys([*self.asked, *beside]))

    def read(self, row: Mapping[str, object]) -> Conversation:
        """The row's conversation. Raises RowRejected."""
        # A template says itself what it makes of a row that lacks a column.
        if self.template is None and self.asked[0] not in row:
            raise RowRejected(reasons.NO_COLUMN)
        conversation = self._conversation(row, row.get(self.system) if self.system is not None else None)
        if self.tools is not None:
            return conversation.with_tools(row.get(self.tools))
        for column in tools.COLUMNS if self.has_messages else ():
            try:
                found = conversation.with_tools(row.get(column))
            except RowRejected:
                # Columns of these names hold other things too.
                if conversation.calls_tools and column == tools.COLUMN:
                    raise
                continue
            if found.tools is not None:
                return found
        return conversation

    def overlooked_tools(self, row: Mapping[str, object], conversation: Conversation) -> list[str]:
        """The usual columns of tools in which the row has something that wasn't read."""
        if self.tools is not None or conversation.tools is not None:
            return []
        return [column for column in tools.COLUMNS if column not in self.names and _may_hold_tools(row.get(column))]

    def _conversation(self, row: Mapping[str, object], system: object) -> Conversation:
        if self.has_messages:
            return from_messages(row[self.asked[0]], system, self.vocabulary)
        response = row.get(self.response) if self.response is not None else None
        prompt = self.template.render(row) if self.template is not None else row[self.asked[0]]
        return from_columns(prompt, response, system)

    def in_spec(self) -> str:
        """The lines of a spec that name them."""
        members = {
            "messagesColumn": self.messages,
            "promptColumn": self.prompt,
            "promptTemplate": self.template.in_spec() if self.template is not None else None,
            "responseColumn": self.response,
            "systemColumn": self.system,
            "toolsColumn": self.tools,
        }
        return ", ".join(f"dataset.{member}: {name}" for member, name in members.items() if name is not None)


def _may_hold_tools(value: object) -> bool:
    try:
        return bool(tools.read_tools(value).value)
    except RowRejected:
        return True
