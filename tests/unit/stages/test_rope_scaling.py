"""Llama 3's scaling of RoPE by the numbers of config.json, which MaxText has as constants in its code."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from distillation_stages.maxtext.command import arguments
from distillation_stages.maxtext.families import differences
from distillation_stages.maxtext.rope_scaling import MAXTEXTS_OWN, SETTING, setting_of, start_argument
from distillation_stages.maxtext.start import take_argument
from distillation_stages.runtime.failure import StageError

LLAMA_3_2 = {"rope_type": "llama3", **MAXTEXTS_OWN, "factor": 32.0}


def test_the_numbers_of_llama_3_2_travel_with_the_checkpoint() -> None:
    """U01."""
    assert json.loads(setting_of(LLAMA_3_2)[SETTING]) == {**MAXTEXTS_OWN, "factor": 32.0}


def test_a_checkpoint_with_maxtexts_own_numbers_carries_none() -> None:
    assert setting_of({"rope_type": "llama3", **MAXTEXTS_OWN}) == {}


@pytest.mark.parametrize(
    "scaling",
    [
        {"rope_type": "yarn", "factor": 4.0},
        {"type": "linear", "factor": 2.0},
        {"rope_type": "llama3", "factor": 32.0},
        {**LLAMA_3_2, "factor": 0},
        {**LLAMA_3_2, "low_freq_factor": "1"},
    ],
)
def test_other_scalings_are_refused(scaling: dict[str, Any]) -> None:
    with pytest.raises(StageError, match="supported is llama3") as refused:
        setting_of(scaling)
    assert refused.value.reason.name == "UnsupportedRopeScaling"


def test_maxtext_never_hears_of_the_setting_and_the_start_of_a_trainer_does(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"model_name": "llama3.1-8b", **setting_of(LLAMA_3_2)}
    assert arguments(settings) == ["model_name=llama3.1-8b"]
    student, teacher = Path("/storage/student/items"), Path("/storage/teacher/items")
    (argument,) = start_argument({student: settings, teacher: {"model_name": "llama3.1-8b"}})
    monkeypatch.setattr(sys, "argv", ["start", "config.yml", "steps=1", argument])
    told = json.loads(take_argument(SETTING) or "")
    assert told == {str(student): {**MAXTEXTS_OWN, "factor": 32.0}, str(teacher): None}
    assert sys.argv == ["start", "config.yml", "steps=1"]
    assert take_argument(SETTING) is None


def test_where_all_models_scale_as_maxtext_does_nothing_is_patched() -> None:
    assert start_argument({Path("/storage/student/items"): {"model_name": "llama3.1-8b"}}) == []


def test_another_factor_is_a_difference_to_maxtexts_table() -> None:
    known = {"rope_theta": 500_000.0, "rope_scaling": {"rope_type": "llama3", **MAXTEXTS_OWN}}
    assert differences(known, known) == []
    assert differences({**known, "rope_scaling": LLAMA_3_2}, known)[0].startswith("rope scaling: ")
