"""Validation of a manifest without a cluster: the models' structure, and the same CEL rules as the API server.

The API server evaluates no rule while the structure is wrong; here the rules of each part that is right in itself are.

The messages have the API server's form, ``field: Invalid value: value: what would be right``. Rules that compare with
the object as it was (``oldSelf``) need a cluster and are left out.
"""

import copy
import json
import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

import cel
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from distillation_api.maxtext import MAX_TEXT_MODELS
from distillation_api.schemas.crd import custom_resource_definition, structural_schema
from distillation_operator.commands.nearest_names import did_you_mean
from distillation_operator.commands.submitted import SubmittedJob, SubmittedMeta
from distillation_operator.manifests.input_size import too_large

Schema = dict[str, Any]
Location = tuple[int | str, ...]
_LONGEST_VALUE = 80
_OF_TYPES = ("_type", "_parsing", "_from_float")
"""How pydantic's names of errors end that are about the type of a value."""
_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "a string",
}
_NEVER = re.compile(r"(?!)")
_WRITTEN = {
    "array": _NEVER,
    "boolean": re.compile(r"true|false"),
    "integer": re.compile(r"-?[0-9]{1,18}"),
    "number": re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?"),
    "string": _NEVER,
}
"""Text that is a value of the type once its quotes are gone."""
_RANDOM_SUFFIX = "xxxxx"
"""What the API server appends to a generateName: five characters."""


def validate(manifest: object) -> list[str]:
    """What is wrong with a DistillationJob, one message for each fault; empty when it would be taken."""
    if not isinstance(manifest, dict):
        return [f"Invalid value: {_shown(manifest)}: must be an object"]
    candidate = _as_decoded({key: value for key, value in manifest.items() if key != "status"})
    metadata = candidate.get("metadata")
    if isinstance(metadata, dict) and "name" not in metadata and isinstance(metadata.get("generateName"), str):
        candidate["metadata"] = {**metadata, "name": metadata["generateName"] + _RANDOM_SUFFIX}
    try:
        job = SubmittedJob.model_validate(candidate, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        wrong = {_location(details) for details in faults}
        _set_defaults(candidate, _schema())
        return [*map(_structural_message, faults), *_rule_messages(candidate, _schema(), wrong=wrong)]
    messages = list(_rule_messages(job.to_json_dict(), _schema()))
    # The API server takes such a job, and the operator refuses it.
    large = None if messages else too_large(job.spec)
    return messages if large is None else [large.message]


def _as_decoded(value: Any) -> Any:
    """A value as the API server takes it: a member that is null is absent, a whole number an integer."""
    if isinstance(value, dict):
        return {key: _as_decoded(member) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_as_decoded(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@cache
def _schema() -> Schema:
    version = custom_resource_definition()["spec"]["versions"][0]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    # A CRD must not declare more of metadata than the name; the API server checks it whole.
    properties = {**schema["properties"], "metadata": structural_schema(SubmittedMeta)}
    return {**schema, "properties": properties}


def _set_defaults(value: Any, schema: Schema) -> None:
    """As the API server does before it evaluates rules, in the parts that have the right type."""
    if isinstance(value, dict):
        for name, member in schema.get("properties", {}).items():
            if name not in value and "default" in member:
                value[name] = copy.deepcopy(member["default"])
            _set_defaults(value.get(name), member)
    elif isinstance(value, list):
        for item in value:
            _set_defaults(item, schema.get("items", {}))


def _location(error: ErrorDetails) -> Location:
    return tuple(part for part in error["loc"] if part != "[key]")


def _structural_message(error: ErrorDetails) -> str:
    location = _location(error)
    path = _path(location)
    if error["type"] == "missing":
        return f"{path}: Required value: {_described(location)}"
    if error["type"] == "extra_forbidden":
        known = _node(location[:-1]).get("properties", {})
        meant = did_you_mean(str(location[-1]), known)
        return f"{path}: Unknown field: {meant}the fields here are {', '.join(known)}"
    value, node = error["input"], _node(location)
    if error["loc"][-1:] == ("[key]",):
        node = {"type": "string"}
    if error["type"].endswith(_OF_TYPES):
        return f"{path}: Invalid value: {_shown(value)}: {_right_type(value, node)}"
    words = error["msg"].removeprefix("Input ").removeprefix("String ").removeprefix("List ").removeprefix("Value ")
    words = words.replace(" after validation", "")
    hint = f" ({_described(location)})" if error["type"] == "string_pattern_mismatch" else ""
    choices = [choice for choice in node.get("enum", ()) if isinstance(choice, str)]
    meant = did_you_mean(value, choices) if isinstance(value, str) else ""
    return f"{path}: Invalid value: {_shown(value)}: {meant}{words}{hint}"


def _right_type(value: Any, node: Schema) -> str:
    """What a value of another type should be, and how it is written where only quotes are wrong."""
    kind: str = node.get("type", "object")
    if kind == "object":
        known = ", ".join(node.get("properties", ()))
        return f"should be an object with {known}" if known else "should be an object"
    words = f"should be {_TYPES[kind]}"
    if kind == "string" and isinstance(value, bool | int | float):
        return f'{words}: write "{_shown(value)}", in quotes'
    if isinstance(value, str) and _WRITTEN[kind].fullmatch(value):
        return f"{words}: write {value}, without quotes"
    return words


def _rule_messages(
    value: Any, schema: Schema, location: Location = (), wrong: Collection[Location] = ()
) -> Iterator[str]:
    """Rules of a value and of all that it contains, but for parts with something wrong in them."""
    if location in wrong:
        return
    right = not any(fault[: len(location)] == location for fault in wrong)
    path = _path(location)
    for rule in schema.get("x-kubernetes-validations", ()):
        if right and "oldSelf" not in rule["rule"]:
            yield from _broken(rule, value, path)
    if isinstance(value, dict):
        for name, member in schema.get("properties", {}).items():
            if name in value:
                yield from _rule_messages(value[name], member, (*location, name), wrong)
    elif isinstance(value, list):
        if right:
            yield from _duplicates(value, schema.get("x-kubernetes-list-map-keys", ()), path)
        for index, item in enumerate(value):
            yield from _rule_messages(item, schema.get("items", {}), (*location, index), wrong)


def _broken(rule: dict[str, str], value: Any, path: str) -> Iterator[str]:
    context = cel.Context({"self": value})
    context.add_function("split", str.split)
    try:
        if _compiled(rule["rule"]).execute(context) is True:
            return
        message = rule["message"]
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        # A number beyond 64 bits, say: the API server refuses what it can't evaluate, too.
        message = f"{rule['message']} ({error})"
    else:
        if "messageExpression" in rule:
            message = str(_compiled(rule["messageExpression"]).execute(context)).strip()
    field = rule.get("fieldPath", "").removeprefix(".")
    subject = message.split(" ", 1)[0]
    if field and subject.startswith(f"{field}["):
        # A rule can point at a list only; the message names the item.
        field, message = subject, message.removeprefix(subject).lstrip()
    where = ".".join(part for part in (path, field) if part)
    message = _nearest_names(value, where) + message
    about = _shown(_member(value, field))
    shown = f"{about}: " if len(about) < _LONGEST_VALUE else ""
    yield f"{where}: Invalid value: {shown}{message}"


def _nearest_names(value: Any, where: str) -> str:
    """What a misspelt name was probably meant to be."""
    return did_you_mean(str(value), MAX_TEXT_MODELS) if where.endswith(".maxTextModel") else ""


def _member(value: Any, path: str) -> Any:
    """What lies at a path like ``stages[0].parallelism`` inside a value."""
    for name, index in re.findall(r"(\w+)|\[(\d+)\]", path):
        value = value[int(index)] if index else value.get(name)
    return value


@cache
def _compiled(expression: str) -> cel.Program:
    return cel.compile(expression)


def _duplicates(items: list[Any], keys: tuple[str, ...], path: str) -> Iterator[str]:
    seen = []
    for index, item in enumerate(items):
        key = {name: item.get(name) for name in keys}
        if keys and key in seen:
            yield f"{path}[{index}]: Duplicate value: {_shown(key)}: {', '.join(keys)} must be unique in the list"
        seen.append(key)


def _path(location: Location) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _node(location: Location) -> Schema:
    """The schema at a location; empty where it has none."""
    node = _schema()
    for part in location:
        if isinstance(part, int):
            # A key that is a number, of a mapping that YAML gives.
            node = node.get("items") or node.get("additionalProperties", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties", {})
    return node


def _described(location: Location) -> str:
    text: str = _node(location).get("description", "must be set")
    return " ".join(text.split())


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."
