"""V4: one beginning-of-sequence token at most, however tokenizers and templates share putting it there."""

import json
import subprocess
from pathlib import Path

import pytest

from e2e.stage_programs import environment, interpreter

RENDER = """
import json, sys
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast
from distillation_stages.rendering import Renderer

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
renderer = Renderer.load(__import__("pathlib").Path(sys.argv[2]))
print(json.dumps([renderer.prompt_ids([{"role": "user", "content": "hello"}]), renderer.end_of_turn()]))
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
    command = [str(interpreter("converter")), "-c", RENDER, told, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=100, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [prompt, END]
