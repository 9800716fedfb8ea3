"""CEL rules over ``maxText`` and ``maxTextUnlisted``, made of the tables of settings.

One rule for each group of settings with the same remedy: no expression can look a text up in a table, since the API
server could not bound its length. Names are matched by a pattern and not by a list: that is half as long in the CRD.
"""

from collections.abc import Iterable
from itertools import groupby

from distillation_api.cel import Rule, no_key
from distillation_api.maxtext.managed import (
    FORBIDDEN_NAME_PATTERN,
    FORBIDDEN_REASON,
    MANAGED,
    MANAGED_BY_FIELD,
    SETTING_NAME,
    managed_remedy,
)
from distillation_api.maxtext.settings import (
    ALLOWED,
    BOOLEANS,
    INTEGER_PATTERN,
    NUMBER_PATTERN,
    Boolean,
    Enumeration,
    Integer,
    Kind,
    Number,
    names_by_kind,
)


def listed_rules() -> list[Rule]:
    """All rules over ``maxText``."""
    return [
        *(_managed_rule(field, names) for field, names in MANAGED_BY_FIELD.items()),
        _unknown_rule(),
        *(_value_rule(kind, names) for kind, names in names_by_kind().items()),
    ]


def _managed_rule(field: str, names: tuple[str, ...]) -> Rule:
    remedy = managed_remedy(field)
    return no_key(
        _among(names),
        f"maxText must not set {_shown(names)}: {remedy}",
        f"'maxText must not set ' + k + ': {remedy}'",
    )


def _unknown_rule() -> Rule:
    allowed = ", ".join(ALLOWED)
    return no_key(
        f"!{_among([*ALLOWED, *MANAGED])}",
        "maxText must not set what is not in the list of MaxText's tuning settings",
        f"'maxText must not set ' + k + '; it may set {allowed}'",
    )


def _value_rule(kind: Kind, names: tuple[str, ...]) -> Rule:
    value = "self[k]"
    return no_key(
        f"{_among(names)} && !({_fits(kind, value)})",
        f"maxText.{_shown(names)} must be {kind}",
        f"'maxText.' + k + ' must be {kind}, not ' + {value}",
    )


def _fits(kind: Kind, value: str) -> str:
    """CEL: the text ``value`` is one of a kind."""
    match kind:
        case Integer():
            return f"{value}.matches('{INTEGER_PATTERN}') && int({value}) >= {kind.low} && int({value}) <= {kind.high}"
        case Number():
            low, high = float(kind.low), float(kind.high)
            return f"{value}.matches('{NUMBER_PATTERN}') && double({value}) >= {low} && double({value}) <= {high}"
        case Boolean():
            return f"{value} in {list(BOOLEANS)}"
        case Enumeration():
            return f"{value} in {list(kind.values)}"


def unlisted_rules() -> list[Rule]:
    """All rules over ``maxTextUnlisted``."""
    begin = "'maxTextUnlisted must not set ' + k + ': "
    return [
        no_key(
            _among([*ALLOWED, *MANAGED]),
            "maxTextUnlisted must not set what maxText may set or what follows from another field",
            f"{begin}it belongs into maxText, or follows from another field; docs/maxtext-settings.md has which'",
        ),
        no_key(
            f"!k.matches('{SETTING_NAME}')",
            "maxTextUnlisted must set MaxText's settings only: lower case letters, digits and underscores",
            f"{begin}MaxText has only names of lower case letters, digits and underscores'",
        ),
        no_key(
            f"k.matches('{FORBIDDEN_NAME_PATTERN}')",
            f"maxTextUnlisted must not set paths and the like: {FORBIDDEN_REASON}",
            f"{begin}{FORBIDDEN_REASON}'",
        ),
    ]


def _shown(names: tuple[str, ...]) -> str:
    """The first of the names: the CRD has no room for all of them, and an error tells the one that it is about."""
    return f"{names[0]} and the like" if len(names) > 1 else names[0]


def _among(names: Iterable[str]) -> str:
    """CEL: ``k`` is one of the names."""
    return f"k.matches('^{_alternatives([tuple(name.split('_')) for name in sorted(names)])}$')"


def _alternatives(names: list[tuple[str, ...]]) -> str:
    """A pattern of names given as their words; what begins with the same word stands together."""
    branches = []
    for word, group in groupby(sorted(names), key=lambda words: words[0]):
        rests = [words[1:] for words in group]
        longer = [rest for rest in rests if rest]
        tail = f"_{_alternatives(longer)}" if longer else ""
        branches.append(f"{word}({tail})?" if tail and () in rests else word + tail)
    return branches[0] if len(branches) == 1 else f"({'|'.join(branches)})"
