"""A spec with all defaults filled in, so that leaving a field out and writing its default compare as the same.

Specs of newer or older operators have fields that this version doesn't know, or values that it wouldn't take. These are
kept as they are written; the rest is filled in around them.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from distillation_api.spec import DistillationJobSpec

_ROUNDS = 8
"""Each takes out all faults that were found; taking one out can lay bare another."""

Location = tuple[int | str, ...]


@dataclass(frozen=True)
class Filled:
    """A spec with and without its defaults."""

    whole: Mapping[str, Any]
    """With all defaults."""
    lean: Mapping[str, Any]
    """Without what is as the default."""
    foreign: Sequence[str] = ()
    """Paths of what this version doesn't know; where it can't read the spec at all, of what is missing."""


def filled(spec: Mapping[str, Any]) -> Filled:
    """The spec with its defaults; one that can't be read at all is as it was written."""
    as_written = _without_nulls(dict(spec))
    candidate = _without_nulls(copy.deepcopy(dict(spec)))
    foreign: list[tuple[Location, Any]] = []
    for _ in range(_ROUNDS):
        try:
            known = DistillationJobSpec.model_validate(candidate)
        except ValidationError as error:
            missing = [_dotted(details["loc"]) for details in error.errors() if details["type"] == "missing"]
            locations = [_in_spec(details["loc"], candidate) for details in error.errors()]
            if missing or not all(locations):
                return Filled(as_written, as_written, missing or ["spec"])
            for location in dict.fromkeys(sorted(locations, key=len, reverse=True)):
                value = _taken_out(candidate, location)
                if value is not None:
                    foreign.append((location, value))
        else:
            whole = known.to_json_dict()
            lean = known.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
            for location, value in reversed(foreign):
                _put_back(whole, location, value)
            return Filled(whole, lean, [_dotted(location) for location, _ in foreign])
    return Filled(as_written, as_written, ["spec"])


def _without_nulls(value: Any) -> Any:
    """A value as the API server keeps it: a member that is null is absent."""
    if isinstance(value, dict):
        return {str(name): _without_nulls(member) for name, member in value.items() if member is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _in_spec(location: Location, spec: Any) -> Location:
    """The part of an error's location that lies in the spec; pydantic adds names of its own below. Of an item of a list
    the whole list: the items' places must not move.
    """
    found: Location = ()
    for part in location:
        if isinstance(spec, dict) and part in spec:
            spec = spec[str(part)]
        elif isinstance(spec, list) and isinstance(part, int) and part < len(spec) and isinstance(spec[part], dict):
            spec = spec[part]
        else:
            break
        found = (*found, part)
    while found and isinstance(found[-1], int):
        found = found[:-1]
    return found


def _taken_out(spec: Any, location: Location) -> Any:
    *way, last = location
    for part in way:
        if isinstance(spec, dict):
            spec = spec.get(part)
        elif isinstance(spec, list) and isinstance(part, int):
            spec = spec[part]
    return spec.pop(last, None) if isinstance(spec, dict) else None


def _put_back(spec: Any, location: Location, value: Any) -> None:
    *way, last = location
    for part in way:
        spec = spec.setdefault(part, {}) if isinstance(spec, dict) else spec[part]
    spec[last] = value


def _dotted(location: Location) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path
