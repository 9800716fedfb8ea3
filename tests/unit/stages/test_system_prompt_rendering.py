"""A system prompt by the chat template of the teacher: one that is passed over without an error is refused."""

import pytest

from distillation_stages.maxtext.trainable_text import render, render_every_turn
from distillation_stages.models.rendering import Renderer, asked_ids, check_system_written
from distillation_stages.runtime.failure import RowRejected, StageError
from unit.stages import tool_templates as templates
from unit.stages.tool_templates import JinjaTokenizer

WITHOUT_SYSTEM = "{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}{% endif %}{% endfor %}"


def test_a_template_that_passes_over_the_system_prompt_is_refused() -> None:
    with pytest.raises(StageError, match=r"generation\.systemPrompt.*generation\.chatTemplate") as caught:
        check_system_written(Renderer(JinjaTokenizer(WITHOUT_SYSTEM)), "Answer in French.")
    assert caught.value.reason.name == "SystemPromptRefused"


@pytest.mark.parametrize("template", [templates.QWEN, templates.CHATML])
def test_a_template_that_writes_the_system_prompt_passes(template: str) -> None:
    check_system_written(Renderer(JinjaTokenizer(template)), "Answer in French.")


def test_without_a_system_prompt_any_template_passes() -> None:
    check_system_written(Renderer(JinjaTokenizer(WITHOUT_SYSTEM)), None)


WITH_SYSTEM = [{"role": "system", "content": "Answer in French."}, {"role": "user", "content": "A question?"}]
ANSWERS = "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}~{% endfor %}"


def test_a_row_whose_system_message_the_teacher_would_not_see_is_left_out() -> None:
    """What is asked without it has another answer."""
    with pytest.raises(RowRejected) as caught:
        asked_ids(Renderer(JinjaTokenizer(ANSWERS)), WITH_SYSTEM, None, None, 10_000)
    assert caught.value.reason.name == "TemplateRefused"
    assert "leaves out the system message" in caught.value.detail
    assert asked_ids(Renderer(JinjaTokenizer(templates.CHATML)), WITH_SYSTEM, None, None, 10_000)


def test_a_row_whose_system_message_the_student_would_not_see_is_not_learnt() -> None:
    for learn in (render, render_every_turn):
        with pytest.raises(StageError, match="row 7 has a system message"):
            learn(JinjaTokenizer(ANSWERS), 7, WITH_SYSTEM, "Oui.")
        assert learn(JinjaTokenizer(ANSWERS), 7, WITH_SYSTEM[1:], "Oui.")


def test_an_empty_system_message_loses_nothing() -> None:
    """It tells templates not to put their default one."""
    empty = [{"role": "system", "content": ""}, WITH_SYSTEM[1]]
    assert render(JinjaTokenizer(ANSWERS), 0, empty, "Oui.").text.endswith("Oui.~")
