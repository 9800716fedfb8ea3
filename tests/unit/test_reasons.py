"""The registry of reasons is closed: each of its entries is told somewhere, and nothing else is."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from distillation_api import reasons
from distillation_api.contract import PERMANENT_EXIT_CODES
from distillation_api.reasons import CONSTANTS, REASONS
from distillation_api.reasons.reason import EXIT_CODES, Cost, ProgramReason, Reason

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = ("operator/distillation_operator", "images/distillation_stages")
REGISTRY = CHECKOUT / "operator/distillation_api/reasons"
TELLING = {
    "StageError", "RowRejected", "StageFailure", "stage_failure", "Problem", "Suspension", "Event", "Condition",
    "reject", "require", "refused", "_told", "_failure", "_condition", "told", "_give_up",
}  # fmt: skip
"""Functions and classes that are given a reason."""
CAMEL_CASE = re.compile(r"[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]*)+")
ALSO_PHASES = {"Complete", "Failed", "Suspended"}
"""Reasons whose names are also those of phases and conditions."""
PROGRAM_REASONS = [reason for reason in REASONS.values() if isinstance(reason, ProgramReason)]

each_reason = pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Each module of the operator and the programs but the registry's own."""
    for folder in SOURCES:
        for path in (CHECKOUT / folder).rglob("*.py"):
            if REGISTRY not in path.parents:
                yield path, ast.parse(path.read_text())


def literals(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Strings that are expressions of their own, not parts of a longer text, and their lines."""
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value, node.lineno


def told(tree: ast.Module) -> Iterator[ast.expr]:
    """What is given to those that tell a reason, and what is put under ``reason``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (getattr(node.func, "id", None) or getattr(node.func, "attr", "")) in TELLING:
            yield from node.args
            yield from (keyword.value for keyword in node.keywords)
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "reason":
                    yield value


# The entries


def test_no_two_reasons_share_a_name() -> None:
    package = reasons.__name__
    members = [
        member
        for module in pkgutil.iter_modules(reasons.__path__)
        for member in vars(importlib.import_module(f"{package}.{module.name}")).values()
        if isinstance(member, Reason)
    ]
    assert len(members) == len(CONSTANTS) == len(REASONS)


@pytest.mark.parametrize(("constant", "reason"), CONSTANTS.items(), ids=CONSTANTS)
def test_a_constant_is_named_as_its_reason(constant: str, reason: Reason) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z]+", reason.name)
    assert constant.replace("_", "") == reason.name.upper()


@each_reason
def test_meaning_and_remedy_are_sentences_that_fit_into_a_table(reason: Reason) -> None:
    for text in (reason.meaning, reason.remedy):
        assert text.endswith(".") and "|" not in text and "\n" not in text


# What they cost


@each_reason
def test_a_final_reason_is_one_whose_exit_code_no_job_tries_again(reason: Reason) -> None:
    assert reason.is_final == (EXIT_CODES.get(reason.cost) in PERMANENT_EXIT_CODES)
    assert reason.is_final == (reason.cost in (Cost.FINAL_INPUT, Cost.FINAL_CONFIGURATION))


@pytest.mark.parametrize(
    ("cost", "code"),
    [(Cost.FINAL_INPUT, 65), (Cost.FINAL_CONFIGURATION, 78), (Cost.RETRIED, 75), (Cost.DISRUPTION, 75)],
)
def test_the_exit_code_follows_from_the_cost(cost: Cost, code: int) -> None:
    assert {reason.exit_code for reason in PROGRAM_REASONS if reason.cost is cost} == {code}


@pytest.mark.parametrize("reason", [reasons.NO_TRAINING_STEPS, reasons.STOPPED_EARLY], ids=lambda reason: reason.name)
def test_a_training_that_ended_early_goes_on_from_its_checkpoint(reason: Reason) -> None:
    assert reason.cost is Cost.RETRIED


# Where they are told


def test_each_reason_is_told_somewhere() -> None:
    used = {
        node.attr
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "reasons"
    }
    assert set(CONSTANTS) - used == set()


def test_a_registered_reason_is_nowhere_written_as_text() -> None:
    names = set(REASONS) - ALSO_PHASES
    found = {
        f"{path.relative_to(CHECKOUT)}:{line} {text}"
        for path, tree in modules()
        for text, line in literals(tree)
        if text in names
    }
    assert found == set()


def test_no_reason_is_told_that_is_not_registered() -> None:
    found = {
        f"{path.relative_to(CHECKOUT)}:{line} {text}"
        for path, tree in modules()
        for argument in told(tree)
        for text, line in literals(argument)
        if CAMEL_CASE.fullmatch(text)
    }
    assert found == set()
