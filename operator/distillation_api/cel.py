"""CEL rules: what JSON schema can't say, kept next to the model that it is about.

Only CEL's standard functions and macros are used, and the API server's ``split``, so that ``validate`` can evaluate the
same text without a cluster.

The API server evaluates every rule with each write, status updates too, and looking up a member of an object copies the
schemas of all its members. So a rule stands at the value that it is about, where that can be: a map's keys, and what of
a member alone can be said, at the member (``Rules``), which costs nothing where it is absent. Where one rule needs a
wide object's member twice, a macro over a list of one names it. ``make benchmark-crd`` measures the sum.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One CEL rule about ``self``."""

    rule: str
    message: str
    field: str | None = None
    """camelCase path of the member that the message is about, e.g. accelerator.slices; the whole value when absent."""
    message_expression: str | None = None
    """CEL that makes the message, where it can name the value."""
    transition: bool = False
    """True when the rule compares with ``oldSelf``: it holds for updates only."""

    def to_json_dict(self) -> dict[str, object]:
        """This rule as an item of ``x-kubernetes-validations``."""
        item: dict[str, object] = {"rule": self.rule, "message": self.message}
        if self.message_expression is not None:
            item["messageExpression"] = self.message_expression
        if self.field is not None:
            item["fieldPath"] = f".{self.field}"
        return item


def exactly_one_of(*members: str) -> Rule:
    """A union: exactly one of its members is set."""
    count = " + ".join(f"(has(self.{member}) ? 1 : 0)" for member in members)
    present = " + ".join(f"(has(self.{member}) ? '{member} ' : '')" for member in members)
    message = f"exactly one of {', '.join(members)} must be set"
    return Rule(
        f"{count} == 1",
        message,
        message_expression=f"'{message}, not ' + ({count} == 0 ? 'none' : {present})",
    )


def members_of_union(item: Mapping[str, object]) -> tuple[str, ...]:
    """Of an item of ``x-kubernetes-validations`` that :func:`exactly_one_of` made its members; of others none."""
    named = re.fullmatch(r"exactly one of (.+) must be set", str(item.get("message")))
    members = tuple(named[1].split(", ")) if named else ()
    return members if members and exactly_one_of(*members).rule == item.get("rule") else ()


def immutable(name: str, why: str, members: Sequence[str] = ()) -> Rule:
    """A rule about a value called ``name`` that is always there, be it by its default: it can't change; with
    ``members`` these of its members can't change, appear or go, and the others can.
    """
    same = " && ".join(_is_same(member, "self", "oldSelf") for member in members)
    return Rule(same or "self == oldSelf", f"{name} can't be changed: {why}", transition=True)


def immutable_beside_status(path: str, members: Sequence[str], why: str) -> Rule:
    """A rule about a whole object, status and all: what lies at ``path``, which is always there, can't change; with
    ``members`` these of its members can't change, appear or go, and the others can.

    For large values, which take long to compare. No write can change both spec and status, so nothing is compared where
    a status is the first, or its ``currentStage`` or ``progress`` is another, as with most of the operator's writes.
    """
    same = " && ".join(_is_same(member) for member in members) if members else "n in [o]"
    name = path.rpartition(".")[2]
    return Rule(
        f"{_STATUS_IS_WRITTEN} || [self.{path}].all(n, [oldSelf.{path}].all(o, {same}))",
        f"{name} can't be changed: {why}",
        field=path,
        transition=True,
    )


def _is_same(member: str, new: str = "n", old: str = "o") -> str:
    """CEL: a new object and an old one have the same member, or none.

    Not by ==: of what a macro has named the API server knows no bound, and so none of what comparing costs.
    """
    return f"has({new}.{member}) == has({old}.{member}) && (!has({new}.{member}) || {new}.{member} in [{old}.{member}])"


_STATUS_IS_WRITTEN = (
    "has(self.status) && (!has(oldSelf.status) || [self.status].all(n, [oldSelf.status].all(o, "
    f"!({_is_same('currentStage')} && {_is_same('progress')}))))"
)


def no_key(wrong: str, message: str, expression: str) -> Rule:
    """A rule about a map: none of its keys ``k`` is wrong. ``expression`` is CEL that says of the first that is what
    would be right.
    """
    return Rule(
        f"!self.exists(k, {wrong})",
        message,
        message_expression=f"self.map(k, {wrong}, {expression})[0]",
    )
