"""The API reference, made from the models: ``python -m distillation_api.schemas.reference`` prints it as Markdown."""

import json
from collections.abc import Iterator
from typing import Any

from distillation_api.model import VALIDATIONS
from distillation_api.resource import API_VERSION, KIND, DistillationJob
from distillation_api.schemas.crd import structural_schema
from distillation_api.spec import DistillationJobSpec
from distillation_api.status import DistillationJobStatus

Schema = dict[str, Any]


def reference() -> str:
    """One table for each object of the spec and the status, in the order of the manifest."""
    lines = [
        "# API reference",
        "",
        "Made from the models by `make generate`; `kubectl explain distillationjob.spec --recursive` says the same.",
        "",
        f"`{KIND}`, `{API_VERSION}`, namespaced; short name `dj`.",
        "",
        "Rules:",
        "",
        *(f"- {rule.message}" for rule in DistillationJob.rules),
        "",
    ]
    for part, model in (("spec", DistillationJobSpec), ("status", DistillationJobStatus)):
        lines += _section(part, structural_schema(model), 2)
    return "\n".join(lines)


def _section(path: str, schema: Schema, level: int) -> Iterator[str]:
    """The table of an object, its rules, and the sections of the objects in it."""
    yield f"{'#' * level} `{path}`"
    yield ""
    yield _one_line(schema.get("description", ""))
    yield ""
    yield "| field | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    required = schema.get("required", ())
    inner: list[tuple[str, Schema]] = []
    for name, member in schema["properties"].items():
        default = "required" if name in required else _default(member)
        yield f"| `{name}` | {_type(member)} | {default} | {_cell(member.get('description', ''))} |"
        target, suffix = (member["items"], "[]") if "items" in member else (member, "")
        if "properties" in target:
            inner.append((f"{path}.{name}{suffix}", target))
    yield ""
    rules = _rules(schema)
    if rules:
        yield "Rules:"
        yield ""
        yield from (f"- {rule}" for rule in rules)
        yield ""
    for where, target in inner:
        yield from _section(where, target, min(level + 1, 4))


def _rules(schema: Schema) -> list[str]:
    """Of an object and of those of its members that have no section of their own."""
    told: list[str] = []
    messages = [str(rule["message"]) for rule in schema.get(VALIDATIONS, ())]
    for name, member in schema["properties"].items():
        if "properties" in member or "properties" in member.get("items", {}):
            continue
        for message in (str(rule["message"]) for rule in member.get(VALIDATIONS, ())):
            messages.append(message if name in message else f"{name} {message}")
    for message in messages:
        # One of them is said for each of the stages that a list may have.
        if "stages[" in message and "stages[0]" not in message:
            continue
        told.append(_cell(message.replace("stages[0]", "stages[*]")))
    return list(dict.fromkeys(told))


def _type(schema: Schema) -> str:
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    kind = str(schema["type"])
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    if kind == "object":
        return f"map of {_type(schema['additionalProperties'])}" if "additionalProperties" in schema else "object"
    return kind + _bounds(schema)


def _bounds(schema: Schema) -> str:
    """The range of a number, the greatest length of a string."""
    if "maxLength" in schema and schema["type"] == "string":
        return f" (≤ {schema['maxLength']})"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return ""
    least = ("> " if schema.get("exclusiveMinimum") else "≥ ") + f"{low:g}" if low is not None else ""
    most = ("< " if schema.get("exclusiveMaximum") else "≤ ") + f"{high:.12g}" if high is not None else ""
    return f" ({', '.join(part for part in (least, most) if part)})"


def _default(schema: Schema) -> str:
    if "default" not in schema or schema["default"] in ({}, []):
        return ""
    return f"`{json.dumps(schema['default'])}`" if not isinstance(schema["default"], dict) else ""


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    print(reference(), end="")
