"""Fingerprints: what determines a stage's outputs, as a short hash that names its folder in the storage.

A member that equals its default is left out, so that a newer operator whose programs have one member more finds what an
older one has made. The kind of a union's member always counts.
"""

import functools
import hashlib
import json
from collections.abc import Mapping, Set
from typing import Any, Literal, NamedTuple, get_origin

from pydantic import BaseModel

from distillation_api.contract import FINGERPRINT_DIGITS, ProgramModel


def fingerprint(program: ProgramModel, inputs: Mapping[str, str]) -> str:
    """The hash of a program's configuration and of the fingerprints of what it reads, 16 hex digits."""
    configuration = _determining(program, leaving_out=program.report_only)
    content = {"version": program.outputs_version, "program": configuration, "inputs": dict(inputs)}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:FINGERPRINT_DIGITS]


class _Member(NamedTuple):
    name: str
    alias: str
    is_kind: bool
    default: Any


@functools.cache
def _members(model: type[BaseModel]) -> tuple[_Member, ...]:
    """Of a class, which has them for good: pydantic looks at the signature of a default's factory with each call."""
    return tuple(
        _Member(
            name,
            field.alias or name,
            is_kind=get_origin(field.annotation) is Literal and name == "kind",
            default=field.get_default(call_default_factory=True),
        )
        for name, field in model.model_fields.items()
    )


def _determining(model: BaseModel, leaving_out: Set[str] = frozenset()) -> dict[str, Any]:
    """The members that differ from their defaults, and those that name the kind of a union's member."""
    return {
        member.alias: _plain(value)
        for member in _members(type(model))
        if member.name not in leaving_out
        and ((value := getattr(model, member.name)) != member.default or member.is_kind)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _determining(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
