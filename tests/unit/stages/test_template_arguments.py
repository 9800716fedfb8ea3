"""U20: variables of chat templates, as enable_thinking of Qwen3: in front of the template, where they are defaults."""

from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from distillation_stages.models.template_arguments import literal, with_arguments

QWEN3 = """{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
GPT_OSS = """
  {%- macro system() %}Reasoning: {{ reasoning_effort }}, {{ words }}{% endmacro %}
{%- if reasoning_effort is not defined %}
  {%- set reasoning_effort = "medium" %}
{%- endif %}
{{ system() }}
{% for message in messages %}{{ message.content }}{% endfor %}
"""
INDENTED = "  {% if words == 3 %}three{% endif %}\n{{ words + 1 if words is number else words }}"


def rendered(template: str, **variables: Any) -> str:
    """As transformers and vLLM render."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    turns = [{"role": "user", "content": "Hello."}]
    return environment.from_string(template).render(messages=turns, add_generation_prompt=True, **variables)


@pytest.mark.parametrize(
    ("template", "arguments", "variables"),
    [
        (QWEN3, {}, {}),
        (QWEN3, {"enable_thinking": "false"}, {"enable_thinking": False}),
        (QWEN3, {"enable_thinking": "true"}, {"enable_thinking": True}),
        (GPT_OSS, {"reasoning_effort": "low", "words": "3"}, {"reasoning_effort": "low", "words": 3}),
        (INDENTED, {"words": "3"}, {"words": 3}),
        (INDENTED, {"words": "-12"}, {"words": -12}),
        (INDENTED, {"words": "1.5"}, {"words": "1.5"}),
        (INDENTED, {"words": "False"}, {"words": "False"}),
        (INDENTED, {"words": ""}, {"words": ""}),
        (INDENTED, {"words": "007"}, {"words": "007"}),
    ],
)
def test_it_is_rendered_as_if_the_variables_were_handed_over(
    template: str, arguments: dict[str, str], variables: dict[str, Any]
) -> None:
    assert rendered(with_arguments(template, arguments)) == rendered(template, **variables)


def test_who_serves_the_student_may_hand_over_another_value() -> None:
    template = with_arguments(QWEN3, {"enable_thinking": "false"})
    assert rendered(template).endswith("</think>\n\n")
    assert rendered(template, enable_thinking=True).endswith("assistant\n")


@pytest.mark.parametrize(
    "text",
    [
        'a "quoted" word',
        "a\nline",
        "{{ 7 * 7 }}",
        "%}{% raw %}",
        "back\\slash \\u00e9",
        "\u00e9\u202e\U0001f600",
        "' + x + '",
        "}}",
    ],
)
def test_a_text_stays_a_text_whatever_it_holds(text: str) -> None:
    assert rendered(with_arguments("{{ words }}", {"words": text})) == text


def test_numbers_beyond_what_every_reader_has_are_texts() -> None:
    assert literal("9" * 15) == "9" * 15
    assert literal("9" * 16) == f'"{"9" * 16}"'
