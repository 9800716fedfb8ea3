"""A system prompt by the chat template of the teacher: one that is passed over without an error is refused."""

import pytest

from distillation_stages.models.rendering import Renderer, check_system_written
from distillation_stages.runtime.failure import StageError
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
