"""Rules of the house that no linter knows."""

import ast
from collections.abc import Iterator
from pathlib import Path

from distillation_stages.maxtext import FOREIGN

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = ("operator", "images/distillation_stages", "testbed", "demo", "release")
LONGEST = 400
"""Lines of a module: a longer one holds more than one idea."""


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (CHECKOUT / folder).rglob("*.py")


def test_no_module_is_too_long() -> None:
    lengths = {path.relative_to(CHECKOUT): len(path.read_text().splitlines()) for path in modules(*SOURCES)}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_no_decision_updates_a_status_unchecked() -> None:
    """pydantic takes any value in ``model_copy(update=...)``; the pen is typed and checks."""
    unchecked = [
        f"{path.relative_to(CHECKOUT)}:{node.lineno}"
        for path in modules("operator/distillation_operator/pipeline")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("model_copy", "model_construct")
    ]
    assert unchecked == []


def test_every_module_says_what_it_is_about() -> None:
    assert [path for path in modules(*SOURCES) if ast.get_docstring(ast.parse(path.read_text())) is None] == []


def test_nothing_is_imported_from_a_conftest_or_a_test() -> None:
    found = [
        f"{path.relative_to(CHECKOUT)}:{node.lineno} {node.module}"
        for path in modules("tests", *SOURCES)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and node.module is not None
        and node.module.split(".")[-1].startswith(("conftest", "test_"))
    ]
    assert found == []


def test_each_foreign_module_of_maxtext_is_listed() -> None:
    """Whoever takes a new MaxText reads there what has to be looked at."""
    imported = set()
    for path in modules("images/distillation_stages/maxtext"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("maxtext", "orbax", "tunix"):
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    imported.add(full if full in FOREIGN else node.module)
    assert imported == set(FOREIGN)
