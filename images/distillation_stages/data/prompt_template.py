"""A prompt that is written in several columns of a row, by a Jinja template over them.

Jinja is what chat templates and evaluation harnesses write prompts in. The template is the user's, so what it may do is
bounded. Whitespace stays as it is written, which is Jinja's default.
"""

import json
from collections.abc import Iterable, Mapping

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, UndefinedError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from distillation_api import reasons
from distillation_stages.data.normalise import text_of_number
from distillation_stages.runtime.cpu_time import CpuTimeExceeded, cpu_time_limit
from distillation_stages.runtime.failure import RowRejected, StageError

FIELD = "dataset.promptTemplate"

MAX_CHARACTERS = 1_000_000
"""Of a rendered prompt: several times what any context holds."""

CPU_SECONDS_PER_ROW = 10.0
"""What a row takes is milliseconds. Over it no row is judged, for that would depend on the machine: the template is."""

GLOBALS = frozenset({"range", "namespace"})
"""The sandbox's names that aren't columns. Others are the columns' (``dict``), or random (``lipsum``)."""

UNREPEATABLE_FILTERS = ("random",)

OTHER_TEMPLATES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)

MAX_DETAIL = 200
"""Characters of an error in a message."""


class PromptTemplate:
    """A template, parsed once."""

    def __init__(self, text: str) -> None:
        """Raises StageError when it isn't Jinja, or reads no column."""
        self.text = text
        environment = _Environment()
        try:
            tree = environment.parse(text)
            columns = meta.find_undeclared_variables(tree)
            self._template = environment.from_string(text)
        except TemplateSyntaxError as error:
            raise _bad(f"line {error.lineno}: {error.message}; write {{{{ COLUMN }}}} for a column's text") from error
        except (RecursionError, SyntaxError) as error:
            raise _bad(f"it is nested too deeply: {error}") from error
        except Exception as error:
            # Not all that Jinja takes for a template compiles, such as a number of 5000 digits.
            raise _bad(f"Jinja can't compile it: {_described(error)}") from error
        if (other := next(tree.find_all(OTHER_TEMPLATES), None)) is not None:
            raise _bad(f"line {other.lineno}: there is no other template to {type(other).__name__.lower()}")
        if not columns:
            raise _bad("it reads no column, so all rows would be one question; write {{ COLUMN }} for a column's text")
        self.columns = tuple(sorted(columns))
        """The columns that it reads."""

    def render(self, row: Mapping[str, object]) -> str:
        """The row's prompt. Raises RowRejected, or StageError when the template doesn't end."""
        read = {name: row[name] for name in self.columns if name in row}
        try:
            with cpu_time_limit(CPU_SECONDS_PER_ROW):
                return _joined(self._template.generate(read))
        except RowRejected:
            raise
        except CpuTimeExceeded as error:
            raise _bad(f"a row took it more than {CPU_SECONDS_PER_ROW:.0f} seconds of processor time") from error
        except UndefinedError as error:
            # Only where the template asks: it may have a value for rows that lack the column.
            lacking = len(read) < len(self.columns)
            raise RowRejected(
                reasons.NO_COLUMN if lacking else reasons.PROMPT_TEMPLATE_FAILED, _described(error)
            ) from error
        except Exception as error:
            # What users write in a template can raise anything.
            raise RowRejected(reasons.PROMPT_TEMPLATE_FAILED, _described(error)) from error

    def in_spec(self) -> str:
        """The template as a member of a spec takes it, in one line."""
        return json.dumps(self.text, ensure_ascii=False)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja without what is random, another file, or large by one operation."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, finalize=_printed, cache_size=0)
        self.globals = {name: value for name, value in self.globals.items() if name in GLOBALS}
        for name in UNREPEATABLE_FILTERS:
            del self.filters[name]
        # Jinja's own writes JSON for HTML; that of chat templates, as it is.
        self.filters["tojson"] = _json

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        if operator == "**" or not all(isinstance(side, int | float) for side in (left, right)):
            raise SecurityError(f"{operator} isn't allowed here: * multiplies numbers only, and there are no powers")
        return super().call_binop(context, operator, left, right)


def _printed(value: object) -> object:
    """What {{ }} prints: nothing for null, and what a prompt column may hold. Anything else has no one spelling."""
    if value is None:
        return ""
    text = text_of_number(value).value
    if isinstance(text, str | Undefined):
        return text
    raise TypeError(
        f"{{{{ }}}} prints a value of type {type(value).__name__}, which has no one spelling as text: "
        "choose one, e.g. by the filter join, tojson, int or string"
    )


def _json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _joined(pieces: Iterable[str]) -> str:
    made, length = [], 0
    for piece in pieces:
        made.append(piece)
        length += len(piece)
        if length > MAX_CHARACTERS:
            raise RowRejected(reasons.PROMPT_TEMPLATE_FAILED, f"the prompt has more than {MAX_CHARACTERS:,} characters")
    return "".join(made)


def _described(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:MAX_DETAIL]


def _bad(what: str) -> StageError:
    return StageError(reasons.BAD_PROMPT_TEMPLATE, f"{FIELD}: {what}")
