"""What becomes of a teacher's reasoning (M24)."""

import pytest

from distillation_stages.models.reasoning import Policy, apply_reasoning_policy, opens_reasoning
from distillation_stages.runtime.failure import RowRejected


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("plain ", False, "plain"),
        ("<think>so</think>\n\nanswer", False, "answer"),
        ("so</think> answer", False, "answer"),
        ("so</think> answer", True, "answer"),
        ("<think>a</think><think>b</think> answer", False, "answer"),
        ("<think>so</think>", False, ""),
    ],
)
def test_closed_reasoning_is_taken_off(text: str, opened: bool, expected: str) -> None:
    assert apply_reasoning_policy(text, "StripClosed", opened) == expected


@pytest.mark.parametrize("policy", ["StripClosed", "RequireClosed"])
@pytest.mark.parametrize(
    ("text", "opened"), [("<think>so", False), ("so", True), ("<think>a</think> b <think>c", False)]
)
def test_reasoning_that_never_closes_is_rejected(policy: Policy, text: str, opened: bool) -> None:
    with pytest.raises(RowRejected) as caught:
        apply_reasoning_policy(text, policy, opened)
    assert caught.value.reason.name == "OpenReasoning"


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("<think>so</think> answer ", False, "<think>so</think> answer"),
        ("so</think> answer", True, "<think>so</think> answer"),
    ],
)
def test_kept_reasoning_is_a_whole_block_even_if_the_prompt_had_opened_it(
    text: str, opened: bool, expected: str
) -> None:
    assert (
        apply_reasoning_policy(text, "Keep", opened)
        == apply_reasoning_policy(text, "RequireClosed", opened)
        == expected
    )


def test_keep_keeps_what_is_not_closed() -> None:
    assert apply_reasoning_policy("<think>so", "Keep", False) == "<think>so"


@pytest.mark.parametrize("text", ["answer", "so</think> answer"])
def test_an_answer_without_reasoning_is_rejected_where_it_is_required(text: str) -> None:
    with pytest.raises(RowRejected) as caught:
        apply_reasoning_policy(text, "RequireClosed", False)
    assert caught.value.reason.name == "NoReasoning"


@pytest.mark.parametrize(
    ("prompt", "opens"),
    [("<a>assistant\n<think>\n", True), ("<a>assistant\n", False), ("<a>assistant\n<think>\n\n</think>\n\n", False)],
)
def test_the_template_may_open_the_block(prompt: str, opens: bool) -> None:
    assert opens_reasoning(prompt) is opens
