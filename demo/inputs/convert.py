"""Turns a llama GGUF file into Hugging Face model directories, with numpy and without torch.

Run as `python -m demo.inputs.convert FILE.gguf OUT_DIR` in an environment with gguf, ml_dtypes, safetensors and
transformers. (transformers reads GGUF weights itself, but refuses to save what it has read.)
"""

import argparse
import copy
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes  # type: ignore[import-not-found, import-untyped, unused-ignore]
import numpy as np  # type: ignore[import-not-found, unused-ignore]
from gguf import GGUFReader  # type: ignore[import-not-found, import-untyped, unused-ignore]
from gguf.quants import dequantize  # type: ignore[import-not-found, import-untyped, unused-ignore]
from safetensors.numpy import save_file  # type: ignore[import-not-found, unused-ignore]
from transformers import AutoTokenizer  # type: ignore[import-not-found, unused-ignore]

# GGUF's name of a layer's weight -> Hugging Face's.
LAYER_WEIGHTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OTHER_WEIGHTS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
DTYPES: dict[str, Any] = {"bfloat16": ml_dtypes.bfloat16, "float32": np.float32}


@dataclass(frozen=True)
class Recipe:
    """One model directory to be made from the file."""

    name: str
    dtype: str
    layers: tuple[int, ...] | None = None
    """The layers to keep, in this order; None keeps all."""
    pad_token: str | None = None
    """The padding token to write; None keeps the file's."""


RECIPES = (
    Recipe("teacher", "bfloat16"),
    # The file pads with the token that ends a message. Training masks the padding, so the student would never learn
    # to stop: it pads with a token that no message contains.
    Recipe("student", "float32", layers=(0, 6, 12, 18, 24, 29), pad_token="<|endoftext|>"),
)


class Gguf:
    """A llama GGUF file: its metadata and its weights, in Hugging Face's names and layout."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = GGUFReader(path)

    def field(self, name: str) -> Any:
        """A metadata field; the file must have it."""
        return self._reader.fields[name].contents()

    def weights(self) -> dict[str, Any]:
        """All weights as float32 arrays."""
        heads, kv_heads = self.field("llama.attention.head_count"), self.field("llama.attention.head_count_kv")
        weights = {}
        for tensor in self._reader.tensors:
            array = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            if tensor.name in OTHER_WEIGHTS:
                weights[OTHER_WEIGHTS[tensor.name]] = array
                continue
            _, layer, kind, _ = tensor.name.split(".")
            if kind == "attn_q":
                array = split_rope_halves(array, heads)
            elif kind == "attn_k":
                array = split_rope_halves(array, kv_heads)
            weights[f"model.layers.{layer}.{LAYER_WEIGHTS[kind]}.weight"] = array
        return weights

    def config(self) -> dict[str, Any]:
        """The config.json of the whole model, except for what only the writer knows."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": self.field("tokenizer.ggml.bos_token_id"),
            "eos_token_id": self.field("tokenizer.ggml.eos_token_id"),
            "head_dim": self.field("llama.rope.dimension_count"),
            "hidden_act": "silu",
            "hidden_size": self.field("llama.embedding_length"),
            "initializer_range": 0.02,
            "intermediate_size": self.field("llama.feed_forward_length"),
            "max_position_embeddings": self.field("llama.context_length"),
            "mlp_bias": False,
            "num_attention_heads": self.field("llama.attention.head_count"),
            "num_hidden_layers": self.field("llama.block_count"),
            "num_key_value_heads": self.field("llama.attention.head_count_kv"),
            # The file has it in single precision: 9.99999975e-06 is 1e-05.
            "rms_norm_eps": round(self.field("llama.attention.layer_norm_rms_epsilon"), 8),
            "rope_scaling": None,
            "rope_theta": self.field("llama.rope.freq_base"),
            "use_cache": True,
        }

    def tokenizer(self) -> Any:
        """The tokenizer with the file's chat template."""
        return AutoTokenizer.from_pretrained(self._path.parent, gguf_file=self._path.name)


def split_rope_halves(weight: Any, heads: int) -> Any:
    """Undoes llama.cpp's order of the rows of q and k: it interleaves the two halves that RoPE rotates."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def select_layers(weights: dict[str, Any], layers: Sequence[int]) -> dict[str, Any]:
    """The weights of a model with only these layers, renumbered from 0."""
    selected = {name: array for name, array in weights.items() if not name.startswith("model.layers.")}
    for new, old in enumerate(layers):
        prefix = f"model.layers.{old}."
        for name, array in weights.items():
            if name.startswith(prefix):
                selected[f"model.layers.{new}.{name.removeprefix(prefix)}"] = array
    return selected


def write_model(
    config: dict[str, Any], weights: dict[str, Any], tokenizer: Any, recipe: Recipe, directory: Path
) -> None:
    """Writes one model directory: config, weights, generation config and tokenizer."""
    directory.mkdir()
    layers = range(config["num_hidden_layers"]) if recipe.layers is None else recipe.layers
    dtype = DTYPES[recipe.dtype]
    selected = {
        name: np.ascontiguousarray(array.astype(dtype)) for name, array in select_layers(weights, layers).items()
    }
    save_file(selected, directory / "model.safetensors", metadata={"format": "pt"})

    tokenizer.model_max_length = config["max_position_embeddings"]
    for leftover in ("is_local", "local_files_only"):  # how it was loaded, which is nobody's business later
        tokenizer.init_kwargs.pop(leftover, None)
    if recipe.pad_token is not None:
        tokenizer.pad_token = recipe.pad_token
    tokenizer.save_pretrained(directory)

    config = config | {
        "num_hidden_layers": len(layers),
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": "lm_head.weight" not in selected,
        "torch_dtype": recipe.dtype,
        "vocab_size": selected["model.embed_tokens.weight"].shape[0],
    }
    write_json(directory / "config.json", config)
    generation = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    write_json(directory / "generation_config.json", generation)

    millions = sum(array.size for array in selected.values()) / 1e6
    print(f"{recipe.name}: {recipe.dtype}, {len(layers)} layers, {millions:.1f} M parameters", flush=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a small JSON file that people read too."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main() -> None:
    """Converts the file by every recipe."""
    parser = argparse.ArgumentParser(prog="python -m demo.inputs.convert", description=__doc__)
    parser.add_argument("gguf", type=Path, help="the GGUF file of a llama model")
    parser.add_argument("out_dir", type=Path, help="where the model directories are made")
    arguments = parser.parse_args()
    started = time.monotonic()
    gguf = Gguf(arguments.gguf)
    # Reading these takes most of the time, so it is done once.
    weights, tokenizer = gguf.weights(), gguf.tokenizer()
    for recipe in RECIPES:
        write_model(gguf.config(), weights, copy.deepcopy(tokenizer), recipe, arguments.out_dir / recipe.name)
    print(f"converted in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
