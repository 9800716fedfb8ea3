"""Each of the public faults of other job operators that we collected is named by a test, or can't happen here."""

import re
from pathlib import Path

CASES = {
    1, 2, 3, 5, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18, 19, 21, 23, 25, 26, 29, 30, 33, 35, 37, 38, 40, 44, 46, 48, 50,
    51, 55, 56, 60, 61, 66, 68,
}  # fmt: skip
CANNOT_HAPPEN = {10: "kopf's indexes are not used: the only handlers are on.event"}
TESTS = Path(__file__).resolve().parents[1]


def named() -> set[int]:
    """The cases that docstrings of tests name, as "Case 5" or "Cases 5 and 7"."""
    found: set[int] = set()
    for path in TESTS.rglob("test_*.py"):
        for numbers in re.findall(r"\bCases? ((?:\d+(?:, | and )?)+)", path.read_text()):
            if path != Path(__file__).resolve():
                found.update(int(number) for number in re.findall(r"\d+", numbers))
    return found


def test_every_case_is_named_or_cannot_happen() -> None:
    assert named() | set(CANNOT_HAPPEN) == CASES
    assert not named() & set(CANNOT_HAPPEN)


def test_the_operator_has_no_other_handler_than_events() -> None:
    controller = TESTS.parent / "operator" / "distillation_operator" / "controller"
    texts = "".join(path.read_text() for path in controller.glob("*.py"))
    used = set(re.findall(r"kopf\.(?:on\.)?([a-z_]+)\(", texts))
    assert "event" in used
    assert not used & {"index", "create", "update", "resume", "delete", "timer", "daemon", "field"}
