"""What an entry of the registry of reasons holds."""

import importlib
import pkgutil
import re

import pytest

from distillation_operator.api import reasons
from distillation_operator.api.contract import PERMANENT_EXIT_CODES
from distillation_operator.api.reasons import CONSTANTS, REASONS
from distillation_operator.api.reasons.reason import EXIT_CODES, Cost, ProgramReason, Reason

PROGRAM_REASONS = [reason for reason in REASONS.values() if isinstance(reason, ProgramReason)]

each_reason = pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)


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
