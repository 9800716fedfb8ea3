"""V4: one beginning-of-sequence token at most, however tokenizers and templates share putting it there."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from distillation_stages.models import tool_rendering
from e2e.stage_programs import environment, interpreter
from unit.stages import tool_templates

RENDER = """
import json, sys
from pathlib import Path
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast
from distillation_stages.models.rendering import Renderer

def render(bos, template, adds_bos, folder):
    words = {word: number for number, word in enumerate(["<unk>", "<bos>", "<end>", "<user>", "<model>", "hello"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, eos_token="<end>", unk_token="<unk>",
        extra_special_tokens=["<user>", "<model>"], chat_template=template,
    )
    fast.save_pretrained(folder)
    renderer = Renderer.load(folder)
    return renderer.prompt_ids([{"role": "user", "content": "hello"}]), renderer.end_of_turn()

cases = json.loads(sys.argv[1])
print(json.dumps({name: render(*told, Path(sys.argv[2], name)) for name, told in cases.items()}))
"""

REFUSED = """
import sys
from pathlib import Path
from distillation_stages.runtime.failure import StageError
from distillation_stages.models.rendering import Renderer
try:
    Renderer.load(Path(sys.argv[1]))
except StageError as error:
    print(error.reason.name, error.message)
"""

ARGUMENTS = """
import json, shutil, sys
from pathlib import Path
from transformers import AutoTokenizer
from distillation_stages.models.rendering import Renderer
from distillation_stages.programs.export import write_chat_template
asked, turns = dict(tokenize=False, add_generation_prompt=True), [{"role": "user", "content": "hello"}]
renderer = Renderer.load(Path(sys.argv[1]), sys.argv[2], {"thinking": "false", "effort": "3", "style": "low"})
exported = Path(sys.argv[3])
shutil.copytree(sys.argv[1], exported)
write_chat_template(exported, renderer.tokenizer.get_chat_template())
served, plain = AutoTokenizer.from_pretrained(exported), AutoTokenizer.from_pretrained(sys.argv[1])
print(json.dumps([
    plain.apply_chat_template(turns, chat_template=sys.argv[2], thinking=False, effort=3, style="low", **asked),
    renderer.tokenizer.apply_chat_template(turns, **asked),
    served.apply_chat_template(turns, **asked),
    served.apply_chat_template(turns, thinking=True, **asked),
]))
"""

TURNS = (
    "{% for message in messages %}<{{ 'model' if message.role == 'assistant' else message.role }}> "
    "{{ message.content }} <end> {% endfor %}{% if add_generation_prompt %}<model>{% endif %}"
)
BOS, END, USER, MODEL, HELLO = 1, 2, 3, 4, 5
TURN = [USER, HELLO, END, MODEL]


TOKENIZERS = {
    "Llama and Gemma: both put it": ("<bos>", "{{ bos_token }} " + TURNS, True),
    "a template that puts two": ("<bos>", "{{ bos_token }} {{ bos_token }} " + TURNS, True),
    "only the tokenizer would": ("<bos>", TURNS, True),
    "Qwen: has none": (None, TURNS, False),
}
"""By name: the beginning-of-sequence token, the template, and whether the tokenizer puts that token too."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tokenizers are saved, each under its name."""
    return tmp_path_factory.mktemp("tokenizers")


@pytest.fixture(scope="module")
def rendered(folder: Path) -> dict[str, list[Any]]:
    """The prompt and the end of a turn, by each tokenizer; one process, as its imports take most of the time."""
    return dict(json.loads(told_by(RENDER, json.dumps(TOKENIZERS), str(folder))))


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "prompt"),
    list(zip(TOKENIZERS, ([BOS, *TURN], [BOS, *TURN], TURN, TURN), strict=True)),
    ids=list(TOKENIZERS),
)
def test_a_prompt_begins_once(rendered: dict[str, list[Any]], name: str, prompt: list[int]) -> None:
    assert rendered[name] == [prompt, END]


@pytest.mark.timeout(120)
def test_a_tokenizer_without_a_template_is_refused_with_what_to_add(
    folder: Path, rendered: dict[str, list[Any]], tmp_path: Path
) -> None:
    """V5."""
    shutil.copytree(folder / "Qwen: has none", tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").unlink()
    told = told_by(REFUSED, str(tmp_path / "model"))
    assert "has no chat template" in told and "Give one in student.chatTemplate" in told


@pytest.mark.timeout(120)
def test_named_templates_without_a_default_are_refused_with_what_to_give(
    folder: Path, rendered: dict[str, list[Any]], tmp_path: Path
) -> None:
    """V5: where rendering would end in an error, after the teacher is loaded."""
    shutil.copytree(folder / "Qwen: has none", tmp_path / "model")
    template = tmp_path / "model" / "chat_template.jinja"
    named = tmp_path / "model" / "additional_chat_templates"
    named.mkdir()
    template.rename(named / "tool_use.jinja")
    told = told_by(REFUSED, str(tmp_path / "model"))
    assert "MissingChatTemplate" in told and "none is called default" in told and "student.chatTemplate" in told


@pytest.mark.timeout(120)
def test_arguments_are_as_if_handed_over_and_defaults_of_the_exported_template(
    folder: Path, rendered: dict[str, list[Any]], tmp_path: Path
) -> None:
    """U20."""
    template = TURNS + "{% if thinking is false %}off {{ effort + 1 }} {{ style }}{% endif %}"
    told = json.loads(told_by(ARGUMENTS, str(folder / "Qwen: has none"), template, str(tmp_path / "exported")))
    assert told == ["<user> hello <end> <model>off 4 low"] * 3 + ["<user> hello <end> <model>"]


def told_by(script: str, *arguments: str) -> str:
    command = [str(interpreter("converter")), "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=100, check=True)
    return done.stdout.splitlines()[-1]


BY_TRANSFORMERS = """
import json, sys
from pathlib import Path
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from distillation_stages.models.rendering import Renderer
from distillation_stages.models.tool_rendering import left_out, marks_of_calls, rendered
from unit.stages.tool_templates import SPECIAL

folder, turns, tools, templates = Path(sys.argv[1]), *map(json.loads, sys.argv[2:])

def loaded(name, template):
    model = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    PreTrainedTokenizerFast(
        tokenizer_object=model, unk_token="<unk>", extra_special_tokens=list(SPECIAL), chat_template=template
    ).save_pretrained(folder / name)
    return Renderer.load(folder / name).tokenizer

def told(name, template):
    tokenizer = loaded(name, template)
    text = rendered(tokenizer, turns, tools, add_generation_prompt=True)
    return text, left_out(tokenizer, turns, tools), sorted(marks_of_calls(tokenizer))

print(json.dumps({name: told(name, template) for name, template in templates.items()}))
"""

ASKED_WITH_TOOLS: list[dict[str, Any]] = [
    {"role": "user", "content": "How warm is it in Århus?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "call00001",
                "type": "function",
                "function": {"name": "weather", "arguments": {"town": "Århus", "unit": None}},
            }
        ],
    },
    {"role": "tool", "content": '{"celsius": "<4>"}', "tool_call_id": "call00001"},
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a town.",
            "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
        },
    }
]


@pytest.mark.timeout(120)
def test_tools_calls_and_results_are_rendered_and_looked_for(tmp_path: Path) -> None:
    """U40: by transformers as by the unit tests' tokenizer; of named templates, tools are for ``tool_use``."""
    families = {name: getattr(tool_templates, name).strip("\n") for name in ("QWEN", "LLAMA", "MISTRAL", "CHATML")}
    named = {"default": families["CHATML"], "tool_use": families["QWEN"]}
    templates = {**families, "NAMED": named}
    arguments = (json.dumps(value) for value in (ASKED_WITH_TOOLS, TOOLS, templates))
    told = json.loads(told_by(BY_TRANSFORMERS, str(tmp_path), *arguments))
    assert told.pop("NAMED") == told["QWEN"]
    for name, (text, missing, marks) in told.items():
        tokenizer = tool_templates.JinjaTokenizer(families[name])
        assert text == tool_rendering.rendered(tokenizer, ASKED_WITH_TOOLS, TOOLS, add_generation_prompt=True)
        assert (missing is None) is (name != "CHATML")
        assert marks == (["[TOOL_CALLS]"] if name == "MISTRAL" else [])


LEARNT_BY_QWEN3 = """
import importlib.util, json, sys
from pathlib import Path
from distillation_stages.maxtext.trainable_text import render_every_turn
from distillation_stages.models.rendering import Renderer
from distillation_stages.models.tool_rendering import left_out, marks_of_calls
model = Path(importlib.util.find_spec("maxtext").origin).parent / "assets/tokenizers/qwen3-tokenizer"
tokenizer, (turns, tools) = Renderer.load(model).tokenizer, map(json.loads, sys.argv[1:])
rows = render_every_turn(tokenizer, 0, turns, "It is cold.", tools)
exchanges = [[exchange.given, exchange.answer] for row in rows for exchange in row.exchanges]
print(json.dumps([exchanges, left_out(tokenizer, turns, tools), sorted(marks_of_calls(tokenizer))]))
"""


@pytest.mark.timeout(120)
def test_by_the_template_of_qwen3_calls_and_answers_are_learnt_and_results_never() -> None:
    """U40, with the tokenizer that MaxText brings."""
    exchanges, missing, marks = json.loads(told_by(LEARNT_BY_QWEN3, json.dumps(ASKED_WITH_TOOLS), json.dumps(TOOLS)))
    assert (missing, marks) == (None, [])
    (asked, call), (told, answer) = exchanges
    assert json.dumps(TOOLS[0]) in asked
    written = '<tool_call>\n{"name": "weather", "arguments": {"town": "Århus", "unit": null}}\n</tool_call><|im_end|>\n'
    assert call.removeprefix("<think>\n\n</think>\n\n") == written
    assert told.endswith('<tool_response>\n{"celsius": "<4>"}\n</tool_response><|im_end|>\n<|im_start|>assistant\n')
    assert answer.removeprefix("<think>\n\n</think>\n\n") == "It is cold.<|im_end|>\n"
