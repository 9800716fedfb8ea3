"""The chart's README has every value, and is the one that its sources make."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from release.chart_readme import CHART, Group, Value, entries, readme, type_of
from release.errors import ReleaseError

SCHEMA: dict[str, Any] = {
    "properties": {
        "one": {"type": ["string", "null"]},
        "group": {"properties": {"two": {"type": "integer", "minimum": 1, "maximum": 9}, "map": {"type": "object"}}},
    }
}
TEXT = """
# -- First
# value.
one: null

# About both.
group:
  # More of it.
  # -- Second.
  two: 3
  # -- Third.
  map: {a: {b: 1}}
"""


def test_the_committed_readme_is_current() -> None:
    assert (CHART / "README.md").read_text() == readme(), "run `make generate`"


def test_every_value_has_a_row_with_its_default() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    rows = {
        entry.path: entry for entry in entries((CHART / "values.yaml").read_text(), schema) if isinstance(entry, Value)
    }
    described = set(rows)
    for path, default in leaves(values, ""):
        [row] = [name for name in described if path == name or path.startswith(f"{name}.")]
        if path == row:
            assert rows[row].default == default
    text = readme()
    assert all(f"| `{path}` |" in text for path in described)


def leaves(values: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(values, dict) or not values:
        yield path, values
        return
    for key, value in values.items():
        yield from leaves(value, f"{path}.{key}" if path else key)


def test_comments_types_and_defaults_are_read() -> None:
    assert list(entries(TEXT, SCHEMA)) == [
        Value("one", "string or null", None, "First value."),
        Group("group", "About both."),
        Value("group.two", "integer, 1 to 9", 3, "Second. More of it."),
        Value("group.map", "object", {"a": {"b": 1}}, "Third."),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [("one: 1\n", "has one without a line"), ("# -- New.\nnew: 1\n", "has new, which"), ("[]\n", "must be a mapping")],
)
def test_a_value_without_description_or_schema_is_refused_by_its_name(text: str, told: str) -> None:
    with pytest.raises(ReleaseError, match=told):
        list(entries(text, SCHEMA))


def test_types_in_words() -> None:
    root = {"definitions": {"names": {"type": "array", "items": {"type": "string"}}}}
    for part, told in (
        ({"$ref": "#/definitions/names"}, "list of strings"),
        ({"enum": ["a", "b"]}, "one of a, b"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "map of strings"),
        ({"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 9}}, "list of integers, each 1 to 9"),
    ):
        assert type_of(part, root) == told
