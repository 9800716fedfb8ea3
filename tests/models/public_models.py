"""Public models as their repositories have them, and how each is made small.

``public/`` holds of each its config.json, member by member, and the names of the tensors in its files: ``{0..31}`` in a
name stands for all numbers from 0 to 31.
"""

import itertools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("public")
_NUMBERS = re.compile(r"\{(\d+)\.\.(\d+)\}")

VOCABULARY = 2048
TOKENS = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
"""The tests' own tokenizer has other tokens."""
RANGE = {"initializer_range": 0.1}
"""Attention that looks somewhere: with the public 0.02 a wrong RoPE would hardly show in a model that is small."""


def shape(width: int, mlp: int, layers: int, heads: int, kv: int, **others: Any) -> dict[str, Any]:
    """The members of config.json that are made small."""
    return {
        **TOKENS,
        **RANGE,
        "hidden_size": width,
        "intermediate_size": mlp,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        **others,
    }


@dataclass(frozen=True)
class PublicModel:
    """A public model, and its small one."""

    name: str
    """On the Hub."""
    small: dict[str, Any]
    """What the small one has otherwise in its config.json."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The sizes in MaxText's words, of an architecture that has fixed sizes there."""
    stops: str = ""
    """The step that is known not to succeed, and with which words; empty when all do."""

    @property
    def config(self) -> dict[str, Any]:
        """Its config.json."""
        return dict(self._stored()["config"])

    def small_config(self) -> dict[str, Any]:
        """The same with other sizes."""
        return merged(self.config, self.small)

    def small_tensors(self) -> list[str]:
        """The names in the small one's files."""
        ends = small_counts(self.config, self.small)
        return sorted(name for pattern in self._stored()["tensors"] for name in expanded(pattern, ends))

    def _stored(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((FOLDER / f"{self.name.replace('/', '--')}.json").read_text())
        return loaded


def merged(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The configuration with the changes, member by member in what is nested. None takes a member out."""
    result = dict(config)
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        elif value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


_COUNTS = ("num_hidden_layers", "num_experts", "num_local_experts", "n_routed_experts")


def small_counts(config: dict[str, Any], small: dict[str, Any]) -> dict[int, int]:
    """How many layers and experts the small one has, by the public model's count."""
    counts = {config[name]: small[name] for name in _COUNTS if name in config and name in small}
    for name, changes in small.items():
        if isinstance(changes, dict):
            counts |= small_counts(config[name], changes)
    return counts


def expanded(pattern: str, counts: dict[int, int]) -> list[str]:
    """All names that a pattern stands for, where ``counts`` has smaller counts by the public ones."""
    ends = [(int(first), int(last) + 1) for first, last in _NUMBERS.findall(pattern)]
    ranges = [range(first, counts.get(end, end)) for first, end in ends]
    template = _NUMBERS.sub("{}", pattern)
    return [template.format(*numbers) for numbers in itertools.product(*ranges)]
