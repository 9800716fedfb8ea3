"""Known dataset formats: which one rows have that can't be read as asked, and what of a row is read by nobody."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from distillation_stages.data import tools
from distillation_stages.data.columns import Columns
from distillation_stages.data.filled import is_filled
from distillation_stages.data.media_columns import may_be_media
from distillation_stages.data.prompt_template import PromptTemplate
from distillation_stages.runtime.failure import RowRejected, StageError


@dataclass(frozen=True)
class Format:
    """A dataset format that many datasets have."""

    name: str
    columns: Columns


def in_one_text(first: str, *others: str) -> PromptTemplate:
    """The template of a question in several columns: those that are empty leave no gap."""
    return PromptTemplate(f"{{{{ {first} }}}}{_behind(others)}")


def _behind(names: Iterable[str]) -> str:
    return "".join(f"{{% if {name} %}}\n\n{{{{ {name} }}}}{{% endif %}}" for name in names)


FORMATS = (
    Format("chat messages", Columns(messages="messages")),
    Format("ShareGPT", Columns(messages="conversations")),
    Format("Alpaca", Columns(template=in_one_text("instruction", "input"), response="output")),
    Format("Dolly", Columns(template=in_one_text("instruction", "context"), response="response")),
    Format("instruction and output", Columns(prompt="instruction", response="output")),
    Format("instruction and response", Columns(prompt="instruction", response="response")),
    Format("question and answer", Columns(prompt="question", response="answer")),
    Format("OpenOrca", Columns(prompt="question", response="response", system="system_prompt")),
    Format("question and response", Columns(prompt="question", response="response")),
    Format("query and response", Columns(prompt="query", response="response")),
    Format("xLAM", Columns(prompt="query", tools="tools")),
    Format("prompt and completion", Columns(prompt="prompt", response="completion")),
    Format("prompt and response", Columns(prompt="prompt", response="response")),
    Format("preference pairs", Columns(messages="chosen")),
    Format("SQuAD", Columns(template=PromptTemplate("{{ context }}\n\n{{ question }}"))),
)
"""docs/data.md explains them; of two that fit, the first is named."""

QUESTION_PARTS = frozenset({"input", "context", "passage", "document", "instruction", "question"})
"""Columns that hold a part of the question in known formats, or all of it."""

SYSTEM_TEXTS = frozenset({"system", "system_prompt"})
"""Columns that hold the system message in known formats."""

CHOICES = frozenset({"choices", "options"})
"""Columns with what a question asks to choose from."""

HISTORY = "history"
"""The column with the turns before the question, in LLaMA-Factory's form of Alpaca."""

LOOKED_AT = QUESTION_PARTS | CHOICES | {HISTORY} | SYSTEM_TEXTS
"""Columns, in lower case, that ``unread`` looks at."""


def is_looked_at(column: str) -> bool:
    """Whether a column is read that no spec names, where it holds texts, lists or objects."""
    return column in tools.COLUMNS or column.casefold() in LOOKED_AT or may_be_media(column)


def hint(rows: Collection[Mapping[str, object]], asked: Collection[str]) -> str:
    """A sentence that names the format which reads most of these rows, and its lines of the spec.

    Empty when no format reads any by other columns than those that are ``asked`` for.
    """
    others = [known for known in (*FORMATS, *_columns_of_lists(rows)) if not set(known.columns.names) <= set(asked)]
    read = [sum(_reads(known.columns, row) for row in rows) for known in others]
    nearest = others[read.index(max(read))]
    return f"The nearest known format is {nearest.name}: set {nearest.columns.in_spec()}" if any(read) else ""


def unread(row: Mapping[str, object], asked: Columns) -> Iterator[str]:
    """The columns of the row that nobody reads, though what they hold looks like a part of the question."""
    suspects = SYSTEM_TEXTS if asked.has_messages else LOOKED_AT
    for name, value in row.items():
        if name.casefold() not in suspects or name in asked.names or not is_filled(value):
            continue
        if isinstance(value, str) or name.casefold() not in SYSTEM_TEXTS:
            yield name


def also_reading(column: str, unread: Iterable[str], asked: Columns) -> str:
    """The line under ``dataset`` that reads the column of texts too; empty where there is none.

    A part of the question comes behind what is asked, and with it the other parts among the ``unread``.
    """
    if column in tools.COLUMNS:
        return "" if asked.has_messages else f"toolsColumn: {column}"
    if column.casefold() in SYSTEM_TEXTS:
        return f"systemColumn: {column}" if asked.system is None else ""
    parts = [name for name in unread if name.casefold() in QUESTION_PARTS | CHOICES]
    if column not in parts:
        return ""
    try:
        if asked.template is not None:
            template = PromptTemplate(asked.template.text + _behind(parts))
        else:
            template = in_one_text(*asked.asked, *parts)
    except StageError:
        return ""
    # Jinja can't say every name: it takes "none" for null.
    return f"promptTemplate: {template.in_spec()}" if {*asked.asked, *parts} == {*template.columns} else ""


def _columns_of_lists(rows: Iterable[Mapping[str, object]]) -> list[Format]:
    """Formats of columns that no known one has, but whose lists may be messages, under a name that can be told."""
    names = sorted(
        {name for row in rows for name, value in row.items() if isinstance(value, list) and name.isprintable()}
    )
    return [Format("chat messages", Columns(messages=name)) for name in names]


def _reads(columns: Columns, row: Mapping[str, object]) -> bool:
    # Of another format a row has all columns, or it is a row of another one.
    if not set(columns.names) <= row.keys():
        return False
    try:
        columns.read(row)
    except RowRejected:
        return False
    return True
