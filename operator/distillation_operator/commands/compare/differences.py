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

    whole: Mapping[str, Any]
    """With all defaults."""
    lean: Mapping[str, Any]
    """Without what is as the default."""
    is_whole: bool
    """False where only the members that determine results are known."""


@dataclass(frozen=True)
class Difference:
    """A field whose value isn't the same in all runs."""

    path: str
    values: Sequence[Any]
    """One for each run: None where the field is absent, ``UNKNOWN`` where the run doesn't tell it."""

    def is_between(self, runs: Sequence[int]) -> bool:
        """Whether some of these runs, counted from 0, have different values, as far as they tell them."""
        told = [self.values[run] for run in runs if self.values[run] is not UNKNOWN]
        return any(not _is_same(value, told[0]) for value in told[1:])


def differences(specs: Sequence[Spec | None]) -> list[Difference]:
    """The differing fields, in the order of the first spec that has them. None: a run whose spec isn't known."""
    leaves = [dict(_leaves(spec)) if spec is not None else {} for spec in specs]
    paths = _merged([list(of_run) for of_run in leaves])
    found = []
    for path in paths:
        values = [_value(path, spec, of_run) for spec, of_run in zip(specs, leaves, strict=True)]
        # Of the fields of an item those that have it may differ: whether it is there is said by the item as a whole.
        item = path.rpartition("].")[0]
        counted = [
            value
            for value, of_run in zip(values, leaves, strict=True)
            if value is not UNKNOWN and (not item or f"{item}]" in of_run)
        ]
        if any(not _is_same(value, counted[0]) for value in counted[1:]):
            found.append(Difference(path, [dict(value) if isinstance(value, _Item) else value for value in values]))
    return found


def _is_same(first: Any, second: Any) -> bool:
    return bool(first == second) and isinstance(first, bool) == isinstance(second, bool)


def _value(path: str, spec: Spec | None, leaves: Mapping[str, Any]) -> Any:
    if path in leaves:
        return leaves[path]
    return UNKNOWN if spec is None or (not spec.is_whole and _is_left_out_of_reports(path)) else None


def _is_left_out_of_reports(path: str) -> bool:
    return re.split(r"[.\[]", path)[0] not in DETERMINING or path.startswith(_OTHERS)


def _leaves(spec: Spec) -> Iterator[tuple[str, Any]]:
    for name, value in spec.whole.items():
        if spec.is_whole or not _is_left_out_of_reports(name):
            yield from _below(str(name), value, spec.lean.get(name))


def _below(path: str, value: Any, lean: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        # Nothing for an empty object: it is the same as none.
        told = lean if isinstance(lean, Mapping) else {}
        for name, member in value.items():
            yield from _below(f"{path}.{name}", member, told.get(name))
    elif isinstance(value, list) and (names := _names(value)):
        # The order of the names, then each item: as a whole, for runs in which others have none, and by field.
        yield path, names
        items = lean if isinstance(lean, list) else []
        told = {str(item.get("name")): item for item in items if isinstance(item, Mapping)}
        for name, item in zip(names, value, strict=True):
            of_item = told.get(name, {})
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
