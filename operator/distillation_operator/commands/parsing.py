"""Texts of JSON and YAML as values, read as kubectl reads them, and of a size and depth that all code can walk."""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, NoReturn

import yaml
from yaml.constructor import ConstructorError

from distillation_operator.commands.errors import CommandError

# libyaml takes a tenth of the time.
try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

VALUES = 300_000
"""Values in one text, each counted as often as it is used: aliases of YAML make a small text hold any number."""
_LEVELS = 100
"""Lists and mappings inside each other; a DistillationJob has some 15."""
_INTEGER, _FLOAT = _NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_LONGEST_NUMBER = 1000
_LONGEST_SHOWN = 40
_NO_VALUE = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError)
"""What PyYAML raises for a text that isn't YAML, or for one that says of a value that it is of a kind it isn't."""
_END = object()


def values(name: str, text: str) -> Iterator[Any]:
    """The values of the documents of a text, None for empty ones. Raises CommandError that has ``name`` in it."""
    text = text.removeprefix("\ufeff")
    limits = _Limits(name)
    if text.lstrip()[:1] in ("{", "["):
        # JSON is YAML, but read as such it takes a hundred times as long and must not have tabs.
        try:
            value = json.loads(text, object_pairs_hook=_mapping, parse_constant=_refuse_constant)
        except _Twice as error:
            raise CommandError(f"{name} is not JSON: key {error} is there twice") from error
        except (ValueError, RecursionError):
            # YAML in flow style begins so too.
            pass
        else:
            limits.count(value)
            yield value
            return
    documents = _documents(text, limits)
    while True:
        try:
            value = next(documents, _END)
        except _NO_VALUE as error:
            raise CommandError(f"{name} is not YAML: {_one_line(error)}") from error
        except RecursionError as error:
            raise limits.too_deep() from error
        if value is _END:
            return
        yield value


def _documents(text: str, limits: "_Limits") -> Iterator[Any]:
    if len(text) > VALUES:
        # The nodes of a large text would take a hundred times its memory.
        limits.count_events(yaml.parse(text, Loader=SafeLoader))
    loader = _Loader(text, limits)
    try:
        while loader.check_data():  # type: ignore[no-untyped-call]
            yield loader.get_data()
    finally:
        loader.dispose()


class _Limits:
    """Counts values of one text. Raises CommandError when there are too many, or too many inside each other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = VALUES

    def count(self, root: Any) -> None:
        """Count a value with all in it, or a node of YAML with all that its aliases stand for."""
        rest = [(root, 0)]
        while rest:
            value, level = rest.pop()
            members = _members(value)
            self._left -= len(members)
            if self._left < 0:
                raise self._too_many()
            if members and level >= _LEVELS:
                raise self.too_deep()
            rest.extend((member, level + 1) for member in members)

    def count_events(self, events: Iterable[yaml.Event]) -> None:
        """Require that a text has no more nodes than may be counted, aliases as one."""
        nodes = (event for event in events if isinstance(event, yaml.NodeEvent))
        if next(islice(nodes, VALUES, None), None) is not None:
            raise self._too_many()

    def too_deep(self) -> CommandError:
        """The error for values inside each other without end."""
        return CommandError(f"{self._name} can't be read: it is nested too deeply, or an anchor holds itself")

    def _too_many(self) -> CommandError:
        return CommandError(f"{self._name} can't be read: it holds more than {VALUES:,} values, or itself")


def _members(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list):
        return value
    if isinstance(value, yaml.MappingNode):
        return [node for pair in value.value for node in pair]
    return value.value if isinstance(value, yaml.SequenceNode) else ()


class _Twice(Exception):
    """A key that an object of JSON has twice."""


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise _Twice(key)
        made[key] = value
    return made


def _refuse_constant(constant: str) -> NoReturn:
    # Python would take NaN and Infinity for numbers.
    raise ValueError(f"{constant} is no JSON")


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    problem = getattr(error, "problem", None) or str(error)
    return place + " ".join(str(problem).split())


class _Loader(SafeLoader):
    """PyYAML's safe loader where it differs from the one of kubectl: no timestamps, 1e-5 and 0o20 are numbers and 1:30
    is none, a key twice is an error."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in (*_NUMBERS, "tag:yaml.org,2002:timestamp")]
        for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str, limits: _Limits) -> None:
        super().__init__(text)
        self._limits = limits

    def construct_document(self, node: yaml.Node) -> Any:
        # Before the values are made: keys that merge unfold aliases.
        self._limits.count(node)
        return super().construct_document(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
                raise ValueError("a number of so many digits takes too long to read, and to print")
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError) as error:
            shown = node.value if isinstance(node, yaml.ScalarNode) else "this"
            if len(shown) > _LONGEST_SHOWN:
                shown = shown[: _LONGEST_SHOWN - 3] + "..."
            told = f"{shown} can't be read as {node.tag.rsplit(':', 1)[-1]}"
            raise ConstructorError(None, None, told, node.start_mark) from error

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        """An integer as Go writes it: 0x, 0o and 0b before the digits, or 0 alone for eight as the base."""
        digits = str(self.construct_scalar(node)).replace("_", "")
        unsigned = digits.lstrip("+-")
        return int(digits, 8 if unsigned.isdigit() and unsigned.startswith("0") else 0)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and isinstance(key.value, str):
                if key.value in seen:
                    raise ConstructorError(None, None, f"key {key.value} is there twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_constructor(_INTEGER, _Loader.construct_integer)
_Loader.add_implicit_resolver(
    _INTEGER,
    re.compile(
        r"[-+]?(?:0[xX]_*[0-9a-fA-F][0-9a-fA-F_]*|0[oO]_*[0-7][0-7_]*|0[bB]_*[01][01_]*|0[0-7_]*|[1-9][0-9_]*)$"
    ),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9][0-9_]*)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+.0123456789"),
)
