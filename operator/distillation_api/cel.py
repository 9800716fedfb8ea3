"""CEL rules: what JSON schema can't say, kept next to the model that it is about.

Only CEL's standard functions and macros are used, and the API server's ``split``, so that ``validate`` can evaluate the
same text without a cluster.
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


def immutable(member: str, why: str) -> Rule:
    """A member that can't change, appear or go once the object exists."""
    return Rule(
        f"has(self.{member}) == has(oldSelf.{member}) && (!has(self.{member}) || self.{member} == oldSelf.{member})",
        f"{member} can't be changed: {why}",
        field=member,
        transition=True,
    )


def immutable_but(member: str, fixed: list[str], why: str) -> Rule:
    """An object that must be there, of which the members ``fixed`` can't change; the others can."""
    same = " && ".join(
        f"has({now}.{name}) == has({before}.{name}) && (!has({now}.{name}) || {now}.{name} == {before}.{name})"
        for now, before in [(f"self.{member}", f"oldSelf.{member}")]
        for name in fixed
    )
    return Rule(same, f"{member} can't be changed: {why}", field=member, transition=True)


def no_key(member: str, wrong: str, message: str, expression: str) -> Rule:
    """No key ``k`` of a map is wrong; ``expression`` is CEL that says of the first that is what would be right."""
    return Rule(
        f"!has(self.{member}) || !self.{member}.exists(k, {wrong})",
        message,
        field=member,
        message_expression=f"self.{member}.map(k, {wrong}, {expression})[0]",
    )
