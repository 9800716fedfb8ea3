"""Kubernetes' quantities as numbers."""

import re
from fractions import Fraction

_UNITS = {
    "": Fraction(1), "m": Fraction(1, 1000), "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9),
    "T": Fraction(10**12), "Ki": Fraction(1 << 10), "Mi": Fraction(1 << 20), "Gi": Fraction(1 << 30),
    "Ti": Fraction(1 << 40),
}  # fmt: skip
_QUANTITY = re.compile(r"([0-9.]+)([A-Za-z]*)")


def number_of(quantity: str) -> Fraction:
    """The exact value of a quantity that the schema has let through: 500m is one half."""
    found = _QUANTITY.fullmatch(quantity)
    assert found is not None, "the schema has let it through"
    return Fraction(found[1]) * _UNITS[found[2]]


def bytes_of(quantity: str) -> int:
    """A quantity of memory or disk, rounded up; one that the schema has let through."""
    return -(-number_of(quantity) // 1)
