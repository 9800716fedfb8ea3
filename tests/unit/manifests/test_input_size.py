"""A job of which a stage could never start is refused before anything is paid for."""

import os
import subprocess
from typing import Any

import pytest

from cluster.wrong_manifests import changed, put
from distillation_api.contract import STAGE_SPEC_ENV
from distillation_api.spec import DistillationJobSpec
from distillation_operator.commands.validation import validate
from distillation_operator.manifests.input_size import _SURELY_FITS, LONGEST_INPUT, too_large
from distillation_operator.manifests.pod import encoded, encoded_input
from distillation_operator.pipeline.graph import build_pipeline
from support.scenario import small_spec

CHINESE = "教"
TEMPLATE = {"source": {"path": "models/student"}, "maxTextModel": "llama2-7b", "chatTemplate": CHINESE * 16_384}


def spec(**members: Any) -> DistillationJobSpec:
    return DistillationJobSpec.model_validate(small_spec(**members))


def test_the_limit_is_the_kernels() -> None:
    def started(size: int) -> bool:
        try:
            subprocess.run(["/bin/true"], env={STAGE_SPEC_ENV: "x" * size}, check=True)
        except OSError as error:
            assert error.strerror == os.strerror(7)
            return False
        return True

    assert started(LONGEST_INPUT)
    assert not started(LONGEST_INPUT + 1)


def test_a_long_text_of_a_language_is_refused_with_the_members_to_shorten() -> None:
    cause = too_large(spec(student=TEMPLATE))
    assert cause is not None and cause.reason == "InputTooLarge"
    assert "stage evaluate would be told" in cause.message
    assert "Shorten the longest: spec.student.chatTemplate (98,306 bytes)" in cause.message
    assert len(cause.message) < 768


@pytest.mark.parametrize("text", ["x" * 16_384, CHINESE * 8_000], ids=["ascii", "half"])
def test_a_text_that_fits_is_none_of_this(text: str) -> None:
    assert too_large(spec(student={**TEMPLATE, "chatTemplate": text})) is None


@pytest.mark.parametrize("character", ['"', "\\", "$", CHINESE, "x"])
def test_of_a_spec_that_is_short_enough_no_stage_is_told_too_much(character: str) -> None:
    """Whatever its longest texts are made of: it isn't taken apart."""
    for count in range(16_000, 0, -500):
        members = {
            "student": {**TEMPLATE, "chatTemplate": character * count},
            "generation": {"systemPrompt": character * min(count, 8_000)},
            "export": {"to": {"path": "models/new"}},
        }
        made = spec(**members)
        if len(encoded(made.to_json_dict())) <= _SURELY_FITS:
            sizes = [len(encoded_input(stage)) for stage in build_pipeline(made).values()]
            assert max(sizes) <= LONGEST_INPUT
            return
    raise AssertionError("no such spec is short enough")


def test_validate_tells_it_too() -> None:
    [message] = validate(changed(put("spec.student", TEMPLATE)))
    assert "spec.student.chatTemplate" in message
