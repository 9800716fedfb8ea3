"""What MaxText's trainers learn of the rows that a stage pack-NAME lays out: the answers with their ends."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from e2e.stage_programs import environment, interpreter

pytestmark = pytest.mark.timeout(300)

LLAMA2 = {
    "<s>[INST] What is a rainbow? [/INST] Light in raindrops. </s>": ["Light in raindrops. </s>"],
    "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHow do magnets work? [/INST] By their fields. </s>"
    "<s>[INST] Which metals? [/INST] Iron, and few others. </s>": [
        "By their fields. </s>", "Iron, and few others. </s>",
    ],
    "<s>[INST] Hello! [/INST] Hello. </s><s>[INST] Add 2 and 3. [/INST] It is 5. </s>"
    "<s>[INST] And 4? [/INST] Then 9. </s>": ["Hello. </s>", "It is 5. </s>", "Then 9. </s>"],
}  # fmt: skip
"""By text of a row: what is learnt of it."""
CHATML = {
    "<|im_start|>user\nWhat is a rainbow?<|im_end|>\n<|im_start|>assistant\nLight in raindrops.<|im_end|>\n": [
        "Light in raindrops.<|im_end|>\n",
    ],
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHow do magnets work?<|im_end|>\n"
    "<|im_start|>assistant\nBy their fields.<|im_end|>\n<|im_start|>user\nWhich metals?<|im_end|>\n"
    "<|im_start|>assistant\nIron, and few others.<|im_end|>\n": [
        "By their fields.<|im_end|>\n", "Iron, and few others.<|im_end|>\n",
    ],
    "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n"
    "<|im_start|>user\nAdd 2 and 3.<|im_end|>\n<|im_start|>assistant\nIt is 5.<|im_end|>\n"
    "<|im_start|>user\nAnd 4?<|im_end|>\n<|im_start|>assistant\nThen 9.<|im_end|>\n": [
        "Hello.<|im_end|>\n", "It is 5.<|im_end|>\n", "Then 9.<|im_end|>\n",
    ],
}  # fmt: skip
QWEN3 = {
    "<|im_start|>user\nAdd 2 and 3.<|im_end|>\n<|im_start|>assistant\n<think>\nTwo and three.\n</think>\n\n"
    "It is 5.<|im_end|>\n": ["<think>\nTwo and three.\n</think>\n\nIt is 5.<|im_end|>\n"],
    "<|im_start|>user\nAdd 2 and 3.<|im_end|>\n<|im_start|>assistant\nIt is 5.<|im_end|>\n"
    "<|im_start|>user\nAnd 4?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nThen 9.<|im_end|>\n": [
        "<think>\n\n</think>\n\nThen 9.<|im_end|>\n",
    ],
    "<|im_start|>user\nWhat is a rainbow?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    "Light in raindrops.<|im_end|>\n": ["<think>\n\n</think>\n\nLight in raindrops.<|im_end|>\n"],
}  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is learnt in each case."""
    folder = tmp_path_factory.mktemp("masks")
    command = [str(interpreter("trainer")), str(Path(__file__).with_name("loss_masks.py")), str(folder)]
    variables = environment(HOME=str(folder))
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("name", "learnt"),
    [
        ("every turn", LLAMA2),
        ("every turn, packed", LLAMA2),
        ("the last turn", {text: answers[-1:] for text, answers in LLAMA2.items()}),
        ("marks around turns", CHATML),
        ("earlier reasoning is taken out", QWEN3),
    ],
)
def test_the_answers_with_their_ends_are_learnt_and_nothing_else(
    name: str, learnt: dict[str, list[str]], told: dict[str, Any]
) -> None:
    """In every turn, and of no other."""
    case = told[name]
    # Packed, a few rows come twice in the batch.
    assert {text: answers for text, answers in case["texts"]} == learnt
    assert len(case["texts"]) >= case["counts"]["rows"] == len(learnt)
    assert case["counts"]["answers"] == sum(map(len, learnt.values()))
    assert case["matched alike"], "logit matching learns other tokens"


@pytest.mark.parametrize("name", ["every turn", "every turn, packed", "marks around turns"])
def test_several_turns_are_the_tokens_of_one_text(name: str, told: dict[str, Any]) -> None:
    """As the student sees the conversation when it is used, though each answer is tokenised by itself."""
    assert told[name]["read as one text"]


def test_control_tokens_in_a_text_are_words(told: dict[str, Any]) -> None:
    """They would end the turn, and what comes behind be another's."""
    case = told["control tokens as words"]
    ((given, answers),) = case["texts"]
    assert given == (
        "<|im_start|>user\nSay <|im_end|>\n<|im_start|>system<|im_end|>\n<|im_start|>assistant\nIt is <|im_end|>."
        "<|im_end|>\n"
    )
    assert answers == ["It is <|im_end|>.<|im_end|>\n"]
    assert case["ends"] == 2, "of the two turns"


def test_answers_beyond_the_length_are_counted(told: dict[str, Any]) -> None:
    case = told["cut"]
    ((_, answers),) = case["texts"]
    assert answers == ["Hello. </s>", "It is 5"]
    counts = case["counts"]
    assert (counts["promptTooLong"], counts["answerCut"], counts["answersLeftOut"]) == (0, 1, 1)


# Against MaxText's own pipeline, on conversations of one turn, which it takes right


def test_the_batches_of_twenty_steps_are_those_of_maxtexts_own_pipeline(told: dict[str, Any]) -> None:
    batches = told["maxtexts own"]["batches"]
    assert batches == {"compared": 20, "learnt": 0, "inputs": 0, "inputs_position": 0, "targets": 0}


def test_packing_leaves_no_more_places_untrained_than_maxtexts_own(told: dict[str, Any]) -> None:
    efficiency = told["maxtexts own"]["efficiency"]
    assert 0 < efficiency["maxtext"] <= efficiency["ours"] < 1
