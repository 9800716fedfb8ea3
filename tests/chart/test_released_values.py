"""Values that the last release's chart takes are taken by this one."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from support.helm import BUILT, Helm
from testbed.helm import CHART

Schema = dict[str, Any]


@pytest.fixture(scope="module")
def before(released: Path) -> Schema:
    return dict(json.loads((released / "values.schema.json").read_text()))


@pytest.fixture(scope="module")
def now() -> Schema:
    return dict(json.loads((CHART / "values.schema.json").read_text()))


def test_its_defaults_render_todays_chart(helm: Helm, released: Path) -> None:
    """As someone has them who keeps a copy of the whole file."""
    values = ("--values", str(released / "values.yaml"), *BUILT)
    done = helm("template", "distillation", str(CHART), "--kube-version", "1.34.4", *values)
    assert done.returncode == 0, done.stderr


def test_no_value_that_it_took_is_refused(before: Schema, now: Schema) -> None:
    assert narrowed(before, now, before, now, "values") == []


def test_defaults_of_today_are_valid(now: Schema) -> None:
    jsonschema.validate(yaml.safe_load((CHART / "values.yaml").read_text()), now)


def test_what_is_narrower_would_be_found(before: Schema) -> None:
    for path, change, told in (
        (("replicas",), {"type": "integer", "minimum": 1, "maximum": 2}, "values.replicas: minimum"),
        (("logFormat",), {"enum": ["json"]}, "values.logFormat: enum"),
        (("rbac", "properties", "nodes"), {"type": "boolean"}, "values.rbac.nodes: type"),
        (
            ("namespaces", "items"),
            {"type": "string", "pattern": "^a$", "maxLength": 63},
            "values.namespaces[]: pattern",
        ),
        (("allowed", "properties", "secrets"), {"type": "null"}, "values.allowed.secrets: type"),
    ):
        changed = json.loads(json.dumps(before))
        parent = changed["properties"]
        for name in path[:-1]:
            parent = parent[name]
        parent[path[-1]] = change
        assert told in narrowed(before, changed, before, changed, "values")
    gone = json.loads(json.dumps(before))
    del gone["properties"]["podLabels"]
    assert narrowed(before, gone, before, gone, "values") == ["values.podLabels: gone"]


def narrowed(old: Schema, new: Schema, old_root: Schema, new_root: Schema, path: str) -> list[str]:
    """Where a schema may refuse what the one before took, in the words of the schema."""
    old, new = resolved(old, old_root), resolved(new, new_root)
    found = [f"{path}: {word}" for word in ("pattern", "uniqueItems") if word in new and new[word] != old.get(word)]
    for word in ("minimum", "minLength", "minItems", "minProperties"):
        if new.get(word, float("-inf")) > old.get(word, float("-inf")):
            found.append(f"{path}: {word}")
    for word in ("maximum", "maxLength", "maxItems", "maxProperties"):
        if new.get(word, float("inf")) < old.get(word, float("inf")):
            found.append(f"{path}: {word}")
    if "enum" in new and not set(old.get("enum", [object])) <= set(new["enum"]):
        found.append(f"{path}: enum")
    if "type" in new and not set(types(old)) <= set(types(new)):
        found.append(f"{path}: type")
    if set(new.get("required", [])) - set(old.get("required", [])):
        found.append(f"{path}: required")
    for name, part in old.get("properties", {}).items():
        below = new.get("properties", {}).get(name)
        if below is None:
            found.append(f"{path}.{name}: gone")
        else:
            found += narrowed(part, below, old_root, new_root, f"{path}.{name}")
    for word, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(new.get(word), dict):
            found += narrowed(old.get(word, {}), new[word], old_root, new_root, f"{path}{suffix}")
        elif new.get(word) is False and old.get(word) is not False:
            found.append(f"{path}: {word}")
    return found


def types(schema: Schema) -> list[str]:
    """What a schema without a type allows is more than any list of types has."""
    told = schema.get("type", ["anything"])
    return [told] if isinstance(told, str) else told


def resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        found: Any = root
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        schema = found
    return schema
