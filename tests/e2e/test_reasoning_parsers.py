"""U18: our table of marks against vLLM itself: its reasoning parsers, and what it writes of special tokens."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from e2e.stage_programs import environment, interpreter
from support.reasoning_texts import TEXTS

APART = ("harmony", "cohere_command4")
"""Parsers that can't run here: that of gpt-oss downloads a vocabulary, Cohere's needs a package besides vLLM."""
COMPARED = [answered for answered in TEXTS if answered.parser not in APART]

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What vLLM makes of the texts; one process, as its imports take most of the time."""
    script = Path(__file__).with_name("reasoning_by_vllm.py")
    command = [str(interpreter("teacher")), str(script), *sorted({answered.parser for answered in COMPARED})]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=170, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_marks_split_answers_as_vllm_does(told: dict[str, Any]) -> None:
    assert told["parsed"] == [[answered.reasoning, answered.answer] for answered in COMPARED]


def test_marks_are_in_what_the_engine_writes(told: dict[str, Any]) -> None:
    assert told["written"] == [answered.text for answered in TEXTS]
