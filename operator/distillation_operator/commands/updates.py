"""What may not change of an object that exists: the API server's transition rules, without a cluster."""

from collections.abc import Iterator
from typing import Any

import cel

from distillation_api.schemas.crd import custom_resource_definition

Schema = dict[str, Any]


def update_faults(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Why ``after`` can't replace ``before``, one message each; both are valid objects of one name. Who replaces an
    object leaves its status as it is.
    """
    before, after = ({**job, "status": {}} for job in (before, after))
    schema = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return list(_messages(before, after, schema, ""))


def _messages(before: Any, after: Any, schema: Schema, path: str) -> Iterator[str]:
    if not (isinstance(before, dict) and isinstance(after, dict)):
        # A rule about what has come, or has gone, is not evaluated. Items of lists have none.
        return
    for rule in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" in rule["rule"]:
            yield from _broken(rule, before, after, path)
    for name, member in schema.get("properties", {}).items():
        if name in before and name in after:
            yield from _messages(before[name], after[name], member, f"{path}.{name}" if path else name)


def _broken(rule: dict[str, str], before: Any, after: Any, path: str) -> Iterator[str]:
    holds = cel.compile(rule["rule"]).execute(cel.Context({"self": after, "oldSelf": before}))
    if holds is not True:
        where = ".".join(part for part in (path, rule.get("fieldPath", "").removeprefix(".")) if part)
        yield f"{where}: Invalid value: {rule['message']}"
