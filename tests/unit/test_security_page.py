"""docs/security.md claims nothing without a test, and names none that isn't there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "security.md"
CLAIMS = re.findall(r"^\| ([^|]+) \| (`[^|]+`) \|$", PAGE.read_text(), re.MULTILINE)
TABLES = re.findall(r"^\| claim \| test \|\n\| --- \| --- \|\n((?:\|.*\n)+)", PAGE.read_text(), re.MULTILINE)


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("claim", "tests"), CLAIMS, ids=[claim for claim, _ in CLAIMS])
def test_a_claim_names_tests_that_exist(claim: str, tests: str) -> None:
    for named in tests.split(", "):
        path, _, function = named.strip("`").partition("::")
        assert function in functions(TESTS / path), named
        assert function.startswith("test_")


def test_every_row_of_a_table_of_claims_is_a_claim() -> None:
    rows = [row for table in TABLES for row in table.splitlines()]
    assert len(TABLES) >= 5
    assert len(rows) == len(CLAIMS)
