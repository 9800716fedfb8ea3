"""CEL rules: what JSON schema can't say, kept next to the model that it is about.

Only CEL's standard functions and macros are used, and the API server's ``split``, so that ``validate`` can evaluate the
same text without a cluster.

The API server evaluates every rule with each write, status updates too, and looking up a member of an object copies the
schemas of all its members. So a rule stands at the value that it is about, where that can be: a map's keys, and what of
a member alone can be said, at the member (``Rules``), which costs nothing where it is absent. Where one rule needs a
wide object's member twice, a macro over a list of one names it. ``make benchmark-crd`` measures the sum.
"""

import re
from collections.abc import Mapping
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


def immutable(name: str, why: str) -> Rule:
    """A rule about a value called ``name`` that is always there, be it by its default: it can't change."""
    return Rule("self == oldSelf", f"{name} can't be changed: {why}", transition=True)


def immutable_but(name: str, fixed: list[str], why: str) -> Rule:
    """A rule about an object called ``name``: its members ``fixed`` can't change, appear or go; the others can."""
    same = " && ".join(
        f"has(self.{member}) == has(oldSelf.{member}) && (!has(self.{member}) || self.{member} == oldSelf.{member})"
        for member in fixed
    )
    return Rule(same, f"{name} can't be changed: {why}", transition=True)


def no_key(wrong: str, message: str, expression: str) -> Rule:
    """A rule about a map: none of its keys ``k`` is wrong. ``expression`` is CEL that says of the first that is what
    would be right.
    """
    return Rule(
        f"!self.exists(k, {wrong})",
        message,
        message_expression=f"self.map(k, {wrong}, {expression})[0]",
    )
