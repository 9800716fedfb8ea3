"""V4: one beginning-of-sequence token at most, however tokenizers and templates share putting it there."""

import json
import subprocess
from pathlib import Path

import pytest

from e2e.stage_programs import environment, interpreter

RENDER = """
import json, sys
from pathlib import Path
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast
from distillation_stages.models.rendering import Renderer

bos, template, adds_bos = json.loads(sys.argv[1])
words = {word: number for number, word in enumerate(["<unk>", "<bos>", "<end>", "<user>", "<model>", "hello"])}
tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
if adds_bos:
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
fast = PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, bos_token=bos, eos_token="<end>", unk_token="<unk>",
    extra_special_tokens=["<user>", "<model>"], chat_template=template,
)
fast.save_pretrained(sys.argv[2])
renderer = Renderer.load(Path(sys.argv[2]))
print(json.dumps([renderer.prompt_ids([{"role": "user", "content": "hello"}]), renderer.end_of_turn()]))
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

TURNS = (
    "{% for message in messages %}<{{ 'model' if message.role == 'assistant' else message.role }}> "
    "{{ message.content }} <end> {% endfor %}{% if add_generation_prompt %}<model>{% endif %}"
)
BOS, END, USER, MODEL, HELLO = 1, 2, 3, 4, 5
TURN = [USER, HELLO, END, MODEL]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("bos", "template", "adds_bos", "prompt"),
    [
        ("<bos>", "{{ bos_token }} " + TURNS, True, [BOS, *TURN]),
        ("<bos>", "{{ bos_token }}{{ bos_token }} ".replace("}}{{", "}} {{") + TURNS, True, [BOS, *TURN]),
        ("<bos>", TURNS, True, TURN),
        (None, TURNS, False, TURN),
    ],
    ids=["Llama and Gemma: both put it", "a template that puts two", "only the tokenizer would", "Qwen: has none"],
)
def test_a_prompt_begins_once(
    tmp_path: Path, bos: str | None, template: str, adds_bos: bool, prompt: list[int]
) -> None:
    told = json.dumps([bos, template, adds_bos])
    assert json.loads(told_by(RENDER, told, str(tmp_path))) == [prompt, END]


@pytest.mark.timeout(120)
def test_a_tokenizer_without_a_template_is_refused_with_what_to_add(tmp_path: Path) -> None:
    """V5."""
    told_by(RENDER, json.dumps(["<bos>", TURNS, False]), str(tmp_path))
    (tmp_path / "chat_template.jinja").unlink()
    told = told_by(REFUSED, str(tmp_path))
    assert "has no chat template" in told and "Add chat_template.jinja" in told


def told_by(script: str, *arguments: str) -> str:
    command = [str(interpreter("converter")), "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=100, check=True)
    return done.stdout.splitlines()[-1]
