"""What code and tests cite stands in docs/public-cases.md, where each case names its tests or why there is none."""

import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "public-cases.md"
FOLDERS = ("tests", "operator", "images", "testbed", "demo")
UNTESTED = re.compile(r"(?:cannot happen here|no test): .+")


class Row(NamedTuple):
    """A row of the page."""

    case: str
    fault: str
    source: str
    tests: str


def rows() -> list[Row]:
    cells = re.findall(
        r"^\| (\d+|[DMSUV]\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(), flags=re.MULTILINE
    )
    return [Row(*found) for found in cells]


def prose(path: Path) -> Iterator[str]:
    """The comments and docstrings of a module."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith('"""')):
            yield token.string


def cases_in(text: str) -> set[str]:
    """The cases that a text cites: those of job operators after the word, the others by letter and number."""
    lists = re.findall(r"\bCases? ((?:\d+(?:, | and )?)+)", text)
    return {number for found in lists for number in re.findall(r"\d+", found)} | set(
        re.findall(r"\b[DMSUV]\d+\b", text)
    )


def citations() -> dict[str, set[str]]:
    """By case, the modules that cite it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in (path for folder in FOLDERS for path in (CHECKOUT / folder).rglob("*.py")):
        for case in cases_in("\n".join(prose(path))):
            found[case].add(str(path.relative_to(CHECKOUT)))
    return found


def test_citations_are_found_in_prose() -> None:
    assert cases_in("Cases 2, 3 and 55; M4, V22: of the 4 hosts of a v4 or V5E.") == {"2", "3", "55", "M4", "V22"}


def test_every_case_that_is_cited_stands_in_the_page_once() -> None:
    cases = [row.case for row in rows()]
    assert len(cases) == len(set(cases))
    assert citations().keys() <= set(cases)


def test_every_row_of_the_page_is_understood() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    headings = [line for line in lines if line.startswith(("| case |", "| --- |"))]
    assert len(lines) == len(headings) + len(rows())


def test_every_case_names_the_tests_that_cite_it_or_says_why_there_is_none() -> None:
    wrong, cited = {}, citations()
    for row in rows():
        citing = {path for path in cited[row.case] if Path(path).name.startswith("test_")}
        named = (
            set() if UNTESTED.fullmatch(row.tests) else {f"tests/{path}" for path in re.findall("`(.+?)`", row.tests)}
        )
        if named != citing or not (named or UNTESTED.fullmatch(row.tests)):
            wrong[row.case] = f"the page names {sorted(named)}, cited by {sorted(citing)}"
    assert wrong == {}


def test_the_operator_has_no_other_handler_than_events() -> None:
    """Case 10: an index, or a handler that keeps its state in kopf, is a way to starve."""
    controller = CHECKOUT / "operator" / "distillation_operator" / "controller"
    texts = "".join(path.read_text() for path in controller.glob("*.py"))
    used = set(re.findall(r"kopf\.(?:on\.)?([a-z_]+)\(", texts))
    assert "event" in used
    assert not used & {"index", "create", "update", "resume", "delete", "timer", "daemon", "field"}
