"""What the stage prepare-dataset is asked."""

from typing import ClassVar, Literal

from distillation_api.contract.common import ProgramModel, Source
from distillation_api.model import Model

DIRECTORY_RENAME = "directoryRename"
"""Of the result's settings: how the storage renames a directory, where trying it has told."""

DirectoryRename = Literal["AtOnce", "FileByFile", "Refused"]


class MessageSpelling(Model):
    """How a dataset spells its messages, in front of the spellings that are known."""

    role_key: str | None = None
    content_key: str | None = None
    roles: dict[str, list[str]] = {}
    """By system, user and assistant: their names."""


class PrepareProgram(ProgramModel):
    """Normalise a dataset to conversations, split off the holdout, count every row that was left out.

    Result outputs: ``train`` and ``holdout``, directories of Parquet parts with columns ``row`` (int64, the position in
    the source), ``prompt`` (list of {role, content}: the conversation up to and with its last user turn) and
    ``reference`` (string or null: the assistant's answer that followed, unless it says that it isn't to be
    learnt). Where some row has tools, or answers that are only given, ``toolUse`` (string or null) is JSON of what
    their messages have besides, and of the tools; the last turn of a prompt may then be a tool's. Counts: read, kept,
    train, holdout, duplicates and ``rejected.<reason>``; read = kept + duplicates + all rejected. ``answers`` are the
    dataset's own in the rows for training, of all turns. Of the rows that weren't rejected, ``converted.<what>`` were
    brought to the standard form, and ``unread.<column>`` have text, a list or an object in a column that looks like a
    part of the question and isn't read.
    ``withTools`` have tools, calls of them or their results. ``skippedFiles`` of the dataset's folder aren't read,
    though they may hold rows. The setting ``directoryRename`` is a DirectoryRename of the storage.
    """

    outputs_version: ClassVar[int] = 3

    kind: Literal["prepare"] = "prepare"
    source: Source
    messages_column: str | None = None
    messages: MessageSpelling | None = None
    prompt_column: str | None = None
    prompt_template: str | None = None
    """Jinja template over the columns, instead of ``prompt_column``."""
    response_column: str | None = None
    system_column: str | None = None
    tools_column: str | None = None
    group_column: str | None = None
    """Rows with the same value stay on one side of the holdout, so that it has groups which training never sees."""
    limit: int | None = None
    holdout: int
    seed: int = 0
