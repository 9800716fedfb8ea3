"""The JSON schema of a DistillationJob for editors: the CRD's own, so that it is what the API server will say.

Of the CEL rules those about unions become ``oneOf``; the others have no equal in JSON schema, and ``validate`` and the
API server add them.
"""

from typing import Any

from distillation_api.cel import members_of_union
from distillation_api.maxtext import MAX_TEXT_MODELS
from distillation_api.resource import API_VERSION, KIND
from distillation_api.schemas.crd import structural_schema
from distillation_api.spec import DistillationJobSpec

Schema = dict[str, Any]
_METADATA: Schema = {
    "type": "object",
    "description": "Name, namespace, labels and annotations, as of every Kubernetes object.",
    "properties": {
        "name": {"type": "string", "maxLength": 40},
        "generateName": {"type": "string", "maxLength": 35},
        "namespace": {"type": "string", "maxLength": 63},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "anyOf": [{"required": ["name"]}, {"required": ["generateName"]}],
}


def json_schema() -> Schema:
    """JSON schema (2020-12) of a manifest as users write it: without a status, unknown fields refused."""
    spec = _strict(structural_schema(DistillationJobSpec))
    for model in ("teacher", "student"):
        # In the CRD a rule says it, with the nearest names; an editor completes from a list.
        spec["properties"][model]["properties"]["maxTextModel"]["enum"] = list(MAX_TEXT_MODELS)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": KIND,
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": KIND},
            "metadata": _METADATA,
            "spec": spec,
        },
    }


def _strict(schema: Schema) -> Schema:
    """Without Kubernetes' extensions; objects take no other members than theirs."""
    kept = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        # OpenAPI 3.0 says it with a boolean.
        if kept.get(exclusive) is True:
            kept[exclusive] = kept.pop(bound)
    unions = [members for item in schema.get("x-kubernetes-validations", ()) if (members := members_of_union(item))]
    if unions:
        kept["allOf"] = [{"oneOf": [{"required": [member]} for member in members]} for members in unions]
    if "properties" in kept:
        kept["properties"] = {name: _strict(member) for name, member in kept["properties"].items()}
        kept["additionalProperties"] = False
    elif isinstance(kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = _strict(kept["additionalProperties"])
    if "items" in kept:
        kept["items"] = _strict(kept["items"])
    return kept
