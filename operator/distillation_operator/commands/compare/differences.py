"""What differs between specs: leaves by dotted path, items of lists by their name."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distillation_api.spec import DETERMINING

_OTHERS = ("export.to.", "training.terminationGracePeriodSeconds")
"""Below members that determine results what doesn't."""


class _Unknown:
    """The value of a field that a run doesn't tell."""

    def __repr__(self) -> str:
        return "?"


UNKNOWN = _Unknown()


@dataclass(frozen=True)
class Spec:
    """A spec to compare."""

    filled: Mapping[str, Any]
    """With all defaults."""
    written: Mapping[str, Any]
    """As the user wrote it."""
    is_whole: bool
    """False where only the members that determine results are known."""


@dataclass(frozen=True)
class Difference:
    """A field whose value isn't the same in all runs."""

    path: str
    values: Sequence[Any]
    """One for each run: None where the field is absent, ``UNKNOWN`` where the run doesn't tell it."""


def differences(specs: Sequence[Spec | None]) -> list[Difference]:
    """The differing fields, in the order of the first spec that has them. None: a run whose spec isn't known."""
    leaves = [dict(_leaves(spec)) if spec is not None else {} for spec in specs]
    paths = _merged([list(of_run) for of_run in leaves])
    found = []
    for path in paths:
        if _is_below_an_absent_item(path, leaves):
            continue
        values = [_value(path, spec, of_run) for spec, of_run in zip(specs, leaves, strict=True)]
        known = [value for value in values if value is not UNKNOWN]
        if any(value != known[0] or isinstance(value, bool) != isinstance(known[0], bool) for value in known[1:]):
            found.append(Difference(path, [dict(value) if isinstance(value, _Item) else value for value in values]))
    return found


def _value(path: str, spec: Spec | None, leaves: Mapping[str, Any]) -> Any:
    if path in leaves:
        return leaves[path]
    return UNKNOWN if spec is None or (not spec.is_whole and _is_left_out_of_reports(path)) else None


def _is_left_out_of_reports(path: str) -> bool:
    return re.split(r"[.\[]", path)[0] not in DETERMINING or path.startswith(_OTHERS)


def _leaves(spec: Spec) -> Iterator[tuple[str, Any]]:
    for name, value in spec.filled.items():
        if spec.is_whole or not _is_left_out_of_reports(name):
            yield from _below(str(name), value, spec.written.get(name))


def _below(path: str, value: Any, written: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        of_user = written if isinstance(written, Mapping) else {}
        for name, member in value.items():
            yield from _below(f"{path}.{name}", member, of_user.get(name))
    elif isinstance(value, list) and (names := _names(value)):
        # The order of the names, then each item: as it was written, for runs in which others have none, and by field.
        yield path, names
        of_user = {str(item.get("name")): item for item in written or [] if isinstance(item, Mapping)}
        for name, item in zip(names, value, strict=True):
            of_item = of_user.get(name, {})
            yield f"{path}[{name}]", _Item({key: member for key, member in of_item.items() if key != "name"})
            for key, member in item.items():
                if key != "name":
                    yield from _below(f"{path}[{name}].{key}", member, of_item.get(key))
    else:
        yield path, value


class _Item(dict[str, Any]):
    """An item of a list as a whole. Equal to every other: where all runs have it its fields are compared one by one."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Item)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None


def _names(items: list[Any]) -> list[str]:
    """The names of all items; empty where one has none, or two have the same."""
    names = [str(item["name"]) for item in items if isinstance(item, Mapping) and "name" in item]
    return names if len(names) == len(items) == len(set(names)) else []


def _is_below_an_absent_item(path: str, leaves: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the path is a field of an item that only one run has: the item as a whole says it all."""
    item, closed, field = path.rpartition("].")
    if not closed or not field:
        return False
    having = [of_run for of_run in leaves if f"{item}]" in of_run]
    return len(having) == 1


def _merged(orders: Sequence[Sequence[str]]) -> list[str]:
    """All paths; one that the first runs lack stands after the one that it follows in its own run."""
    merged: list[str] = []
    for order in orders:
        known, place = set(merged), 0
        for path in order:
            if path in known:
                place = merged.index(path) + 1
            else:
                merged.insert(place, path)
                place += 1
    return merged
