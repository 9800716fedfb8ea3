"""Whether the cluster's CRD has all that this version of the operator reads and writes.

Helm doesn't upgrade CRDs by itself. With an older one the API server would drop fields of the status without a word,
and refuse fields of the spec that the documentation shows.
"""

from collections.abc import Mapping
from typing import Any

from distillation_api.resource import GROUP, KIND, VERSION
from distillation_api.schemas.crd import structural_schema
from distillation_api.spec import DistillationJobSpec
from distillation_api.status import DistillationJobStatus

Schema = Mapping[str, Any]
OPENAPI_PATH = f"/openapi/v3/apis/{GROUP}/{VERSION}"
_COMPONENT = f"{'.'.join(reversed(GROUP.split('.')))}.{VERSION}.{KIND}"


def missing_fields(document: Schema) -> list[str]:
    """What the API server's OpenAPI document of our group lacks: fields by path, e.g. ``spec.budget``, and values of
    enumerations, e.g. ``status.phase=Queued``.
    """
    served = (document.get("components") or {}).get("schemas", {}).get(_COMPONENT)
    if served is None:
        return [KIND]
    expected = {
        "spec": structural_schema(DistillationJobSpec),
        "status": structural_schema(DistillationJobStatus),
    }
    return _missing({"properties": expected}, served, "")


def _missing(expected: Schema, served: Schema, path: str) -> list[str]:
    found: list[str] = []
    for name, member in (expected.get("properties") or {}).items():
        inner = f"{path}.{name}" if path else name
        known = (served.get("properties") or {}).get(name)
        found += [inner] if known is None else _missing(member, known, inner)
        if known is not None:
            found += _missing_values(member, known, inner)
    if "items" in expected:
        found += _missing(expected["items"], served.get("items") or {}, f"{path}[]")
    return found


def _missing_values(expected: Schema, served: Schema, path: str) -> list[str]:
    """Values of an enumeration that an older CRD would refuse; one without enumeration refuses none."""
    if "enum" not in served:
        return []
    return [f"{path}={value}" for value in expected.get("enum", ()) if value not in served["enum"]]
