"""docs/extending.md sends nobody to a file that isn't there, and its numbers are those of its tables."""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
TEXT = (CHECKOUT / "docs" / "extending.md").read_text()
PATHS = sorted(set(re.findall(r"`([\w.-]+/[\w./-]*|pyproject\.toml)`", TEXT)))
WALKS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("path", PATHS)
def test_what_it_names_exists(path: str) -> None:
    assert (CHECKOUT / path).exists()


@pytest.mark.parametrize("walk", WALKS)
def test_a_walk_has_as_many_files_as_it_says(walk: str) -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", WALKS[walk], re.MULTILINE)
    assert rows and set(rows) <= set(PATHS)
    [now] = re.findall(r"^(?:Files|Modules) before: \d+\b.*? Now: (\d+|one folder)\b", WALKS[walk], re.MULTILINE)
    assert now == "one folder" or len(rows) == int(now)
