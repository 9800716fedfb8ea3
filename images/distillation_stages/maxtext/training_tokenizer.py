"""The tokenizer that MaxText trains with: a copy of the student's that takes rendered text as it is, and pads with a
token that no answer needs.
"""

import json
import shutil
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any

VERBATIM_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""MaxText's chat template: the texts are rendered already."""

_WEIGHTS = (".safetensors", ".bin", ".gguf", ".safetensors.index.json")


def write_training_tokenizer(model: Path, target: Path, needed: Callable[[Any], Container[int]]) -> Any:
    """Copy the tokenizer of ``model`` to ``target``, without template and without a token of its own put in front.

    MaxText masks the labels that equal the padding token. So where that is one of ``needed`` (of the tokenizer: tokens
    that must be learnt, as the end of an answer), the copy pads with another special token, if there is a free one.
    """
    target.mkdir(parents=True, exist_ok=True)
    for file in model.iterdir():
        if file.is_file() and not file.name.endswith(_WEIGHTS):
            shutil.copyfile(file, target / file.name)
    (target / "chat_template.jinja").write_text(VERBATIM_TEMPLATE)
    _edit(target / "tokenizer_config.json", {"chat_template": VERBATIM_TEMPLATE})
    _edit(target / "tokenizer.json", {"post_processor": None})
    tokenizer = _load(target)
    learnt = needed(tokenizer)
    if padding_token(tokenizer) in learnt:
        free = next((token for token in _candidates(tokenizer) if token not in learnt), None)
        if free is not None:
            text = tokenizer.convert_ids_to_tokens(free)
            _edit(target / "tokenizer_config.json", {"pad_token": text})
            _edit(target / "special_tokens_map.json", {"pad_token": text})
            tokenizer = _load(target)
    return tokenizer


def padding_token(tokenizer: Any) -> int:
    """The token that MaxText pads with, and whose labels it masks."""
    if tokenizer.pad_token_id is not None:
        return int(tokenizer.pad_token_id)
    return int(tokenizer.unk_token_id) if tokenizer.unk_token_id is not None else -1


def _candidates(tokenizer: Any) -> Iterator[int]:
    """Special tokens that may pad; the beginning of a sequence is none: its labels are masked for other reasons."""
    named = [tokenizer.unk_token_id, *tokenizer.all_special_ids]
    named += [number for number, token in tokenizer.added_tokens_decoder.items() if token.special]
    return (token for token in named if token is not None and token != tokenizer.bos_token_id)


def _load(directory: Path) -> Any:
    """As MaxText's loader loads it."""
    import transformers

    return transformers.AutoTokenizer.from_pretrained(
        directory, add_bos_token=False, add_eos_token=False, legacy=False, extra_special_tokens={}
    )


def _edit(file: Path, changes: dict[str, Any]) -> None:
    """Change members of a JSON file that may be missing."""
    if file.exists():
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
