"""The CustomResourceDefinition, made from the models: ``python -m distillation_api.schemas.crd`` prints it as YAML.

Pydantic's JSON schema is turned into what Kubernetes calls a structural schema: references inlined, null left out
(an absent member is the only unset), numbers with OpenAPI 3.0's boolean exclusive bounds.
"""

import json
from collections.abc import Iterator
from typing import Any

from distillation_api.model import VALIDATIONS, Model
from distillation_api.resource import (
    GROUP,
    KIND,
    PLURAL,
    SHORT_NAMES,
    SINGULAR,
    VERSION,
    DistillationJob,
)
from distillation_api.spec import DistillationJobSpec
from distillation_api.status import DistillationJobStatus

Schema = dict[str, Any]

PRINTER_COLUMNS = (
    ("Method", "string", ".status.method", "Offline, Online or Mixed"),
    ("Phase", "string", ".status.phase", "Summary of the conditions"),
    ("Reason", "string", ".status.reason", "Why it failed, or what is in its way"),
    ("Stage", "string", ".status.currentStage", "The stages that run, or that failed"),
    ("Progress", "string", ".status.progress", "Progress of the stage that runs"),
    ("Loss", "string", ".status.loss", "Last training loss"),
    ("Chip-Hours", "string", ".status.chipHours", "TPU chip-hours so far"),
    ("Age", "date", ".metadata.creationTimestamp", "Age of the object"),
)
WIDE_COLUMNS = (
    ("Cross-Entropy", "string", ".status.results.crossEntropyAfter", "Held out, after distillation"),
    ("Drop", "string", ".status.results.crossEntropyDrop", "Of it, relative to before"),
    ("Report", "string", ".status.results.report", "In the storage"),
)
"""What ``-o wide`` shows besides."""


SELECTABLE = (".status.phase",)
"""What ``--field-selector`` takes, besides name and namespace."""


def structural_schema(model: type[Model]) -> Schema:
    """The model's structural schema."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(schema, schema.get("$defs", {}))


def custom_resource_definition() -> Schema:
    """The CRD as a plain object."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": SINGULAR,
                "shortNames": list(SHORT_NAMES),
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "selectableFields": [{"jsonPath": path} for path in SELECTABLE],
                    "additionalPrinterColumns": [
                        *(_column(*column) for column in PRINTER_COLUMNS),
                        *({**_column(*column), "priority": 1} for column in WIDE_COLUMNS),
                    ],
                    "schema": {"openAPIV3Schema": _object_schema()},
                }
            ],
        },
    }


def _column(name: str, kind: str, path: str, description: str) -> dict[str, str]:
    return {"name": name, "type": kind, "jsonPath": path, "description": description}


def _object_schema() -> Schema:
    return {
        "type": "object",
        "description": DistillationJob.__doc__,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{KIND}."},
            # The name is declared so that the rule about it can point at it; more than that isn't allowed here.
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "description": "Unique in its namespace."}},
            },
            "spec": _with_words(structural_schema(DistillationJobSpec)),
            "status": structural_schema(DistillationJobStatus),
        },
        "x-kubernetes-validations": [rule.to_json_dict() for rule in DistillationJob.rules],
    }


def _with_words(schema: Schema) -> Schema:
    """The schema with defaults and ranges in its descriptions: ``kubectl explain`` prints these alone."""
    told = {**schema}
    words = " ".join((*_range(schema), *_default(schema)))
    if words and "description" in schema:
        told["description"] = f"{schema['description']} {words}"
    if "properties" in schema:
        told["properties"] = {name: _with_words(member) for name, member in schema["properties"].items()}
    if "items" in schema:
        told["items"] = _with_words(schema["items"])
    return told


def _range(schema: Schema) -> Iterator[str]:
    if schema["type"] not in ("integer", "number"):
        return
    low, high = schema.get("minimum"), schema.get("maximum")
    least = "" if low is None else ("more than " if schema.get("exclusiveMinimum") else "from ") + f"{low:.12g}"
    most = "" if high is None else ("less than " if schema.get("exclusiveMaximum") else "to ") + f"{high:.12g}"
    words = " ".join(part for part in (least, most) if part)
    if words:
        yield f"{words[0].upper()}{words[1:]}."


def _default(schema: Schema) -> Iterator[str]:
    value = schema.get("default")
    if value is not None and not isinstance(value, dict | list):
        yield f"Default {json.dumps(value)}."


_KEPT = (
    "description", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems",
    "minProperties", "maxProperties", "enum", "required", "x-kubernetes-validations", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)  # fmt: skip


def _structural(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """One node of a JSON schema, references resolved; what stands next to a reference wins over what it names, but for
    rules, of which both hold."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].removeprefix("#/$defs/")]
        beside = {k: v for k, v in schema.items() if k != "$ref"}
        if VALIDATIONS in target and VALIDATIONS in beside:
            beside[VALIDATIONS] = [*target[VALIDATIONS], *beside[VALIDATIONS]]
        return _structural({**target, **beside}, definitions)
    if "allOf" in schema and len(schema["allOf"]) == 1:
        beside = {k: v for k, v in schema.items() if k != "allOf"}
        return _structural({**schema["allOf"][0], **beside}, definitions)
    if "anyOf" in schema:
        members = [member for member in schema["anyOf"] if member.get("type") != "null"]
        if len(members) != 1:
            raise ValueError(f"a structural schema has no alternatives: {schema}")
        beside = {k: v for k, v in schema.items() if k != "anyOf"}
        return _structural({**members[0], **beside}, definitions)
    result: Schema = {"type": schema["type"]}
    result.update((key, schema[key]) for key in _KEPT if key in schema)
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if schema["type"] == "integer":
        result["format"] = "int64"
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in schema:
            result[bound], result[exclusive] = schema[exclusive], True
    if schema.get("default") is not None:
        result["default"] = _without_null(schema["default"])
    if "properties" in schema:
        result["properties"] = {name: _structural(member, definitions) for name, member in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _structural(schema["additionalProperties"], definitions)
    if "items" in schema:
        result["items"] = _structural(schema["items"], definitions)
    return result


def _without_null(value: Any) -> Any:
    """A default as the API server takes it: an absent member is the only unset."""
    if isinstance(value, dict):
        return {key: _without_null(member) for key, member in value.items() if member is not None}
    return value


def main() -> None:
    """Print the CRD as YAML."""
    import yaml

    print("# Generated from operator/distillation_api by `make generate`; don't edit.")
    print(yaml.safe_dump(custom_resource_definition(), sort_keys=False, width=120), end="")


if __name__ == "__main__":
    main()
