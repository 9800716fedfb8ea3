"""Chat templates in the manner of families that know tools, of some that don't, and a tokenizer that renders them as
transformers does.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

QWEN = """
{%- if tools %}
<|im_start|>system
{{ messages[0].content + '\n\n' if messages[0].role == 'system' else '' }}You may call these functions:
<tools>
{% for tool in tools %}
{{ tool | tojson }}
{% endfor %}
</tools><|im_end|>
{% elif messages[0].role == 'system' %}
<|im_start|>system
{{ messages[0].content }}<|im_end|>
{% endif %}
{% for message in messages %}
{% if message.role == 'user' %}
<|im_start|>user
{{ message.content }}<|im_end|>
{% elif message.role == 'assistant' %}
<|im_start|>assistant
{{ message.content }}
{%- for call in message.tool_calls or [] %}
{{ '\n' if message.content or not loop.first }}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% elif message.role == 'tool' %}
{% if messages[loop.index0 - 1].role != 'tool' %}
<|im_start|>user
{%- endif %}

<tool_response>
{{ message.content }}
</tool_response>
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
<|im_end|>
{% endif %}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}
"""

LLAMA = """
{%- if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set messages = messages[1:] %}
{%- else %}{% set system = '' %}{% endif -%}
<|start_header_id|>system<|end_header_id|>

{{ system }}<|eot_id|>
{%- for message in messages -%}
{% if message.role == 'tool' -%}
<|start_header_id|>ipython<|end_header_id|>

{{ message.content | tojson }}<|eot_id|>
{%- elif message.tool_calls -%}
{% if message.tool_calls | length != 1 %}{{ raise_exception('only single tool calls') }}{% endif -%}
<|start_header_id|>assistant<|end_header_id|>

{"name": "{{ message.tool_calls[0].function.name }}", "parameters": {{
message.tool_calls[0].function.arguments | tojson }}}<|eot_id|>
{%- else -%}
<|start_header_id|>{{ message.role }}<|end_header_id|>

{% if loop.first and tools -%}
Answer with a call of one of these functions:
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}{% endif -%}
{{ message.content }}<|eot_id|>
{%- endif -%}
{% endfor -%}
{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>

{% endif %}
"""

MISTRAL = """
{%- set users = messages | selectattr('role', 'equalto', 'user') | list -%}
{%- for message in messages -%}
{% if message.role == 'user' -%}
{% if message == users[-1] and tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif -%}
[INST]{{ message.content }}[/INST]
{%- elif message.tool_calls -%}
[TOOL_CALLS][
{%- for call in message.tool_calls -%}
{% if not call.id or call.id | length != 9 %}{{ raise_exception('ids of calls have 9 letters') }}{% endif -%}
{"name": {{ call.function.name | tojson }}, "arguments": {{ call.function.arguments | tojson }}, "id": "{{ call.id }}"}
{%- if not loop.last %}, {% endif %}{% endfor %}]</s>
{%- elif message.role == 'tool' -%}
[TOOL_RESULTS]{"content": {{ message.content | tojson }}, "call_id": "{{ message.tool_call_id }}"}[/TOOL_RESULTS]
{%- elif message.role == 'assistant' %}{{ message.content }}</s>{% endif -%}
{% endfor %}
"""

CHATML = """
{%- for message in messages %}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}
"""
"""Takes any role, and knows nothing of tools: a call is an empty answer."""

NO_RESULTS = QWEN.replace("{{ message.content }}\n</tool_response>", "</tool_response>")
NO_ARGUMENTS = QWEN.replace('"arguments": {{ call.function.arguments | tojson }}', '"arguments": {}')
NAMES_ALONE = QWEN.replace("{{ tool | tojson }}", "{{ tool.function.name }}")
ONLY_WITH_SYSTEM = QWEN.replace("{%- if tools %}", "{%- if tools and messages[0].role == 'system' %}")

SPECIAL = ("<|im_start|>", "<|im_end|>", "<|eot_id|>", "[INST]", "[/INST]", "[TOOL_CALLS]", "</s>")


@dataclass(frozen=True)
class Special:
    """An added token."""

    content: str
    special: bool = True

    def __str__(self) -> str:
        return self.content


class JinjaTokenizer:
    """Each letter is a token; the template is rendered in transformers' environment."""

    bos_token_id = None
    eos_token_id = ord("~")
    all_special_tokens = SPECIAL
    added_tokens_decoder = {number: Special(token) for number, token in enumerate(SPECIAL)}

    def __init__(self, template: str) -> None:
        self.chat_template = template.removeprefix("\n").removesuffix("\n")
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
        environment.globals["raise_exception"] = _refuse
        self._render: Callable[..., str] = environment.from_string(self.chat_template).render

    def apply_chat_template(
        self, turns: list[Any], tokenize: bool, add_generation_prompt: bool, tools: list[Any] | None = None
    ) -> str:
        """The conversation as text."""
        assert not tokenize
        return self._render(messages=turns, tools=tools, add_generation_prompt=add_generation_prompt)

    def get_chat_template(self) -> str:
        """The template."""
        return self.chat_template

    def get_vocab(self) -> dict[str, int]:
        """No words."""
        return {}

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """The letters' numbers."""
        assert not add_special_tokens
        return [ord(letter) for letter in text]

    def decode(self, ids: list[int], skip_special_tokens: bool = False, **_: bool) -> str:
        """The letters of these numbers."""
        return "".join(map(chr, ids))


def _refuse(message: str) -> None:
    raise ValueError(message)
