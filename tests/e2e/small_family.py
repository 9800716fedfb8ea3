"""Makes a small random model of a family: ``python small_family.py DIRECTORY MODEL_TYPE [LENGTH]``. Needs torch.

A Llama scales its RoPE as of a model that was trained on LENGTH positions first.
"""

import json
import sys
from pathlib import Path

SHORT = 64
"""The texts of the comparison reach all three ranges of wavelengths."""


def main(directory: Path, kind: str, length: int = SHORT) -> None:
    """Write config, weights and a tokenizer; no table of MaxText's has these sizes."""
    import torch
    import transformers

    from e2e.small_llama import write_tokenizer

    scaling = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaled = {"rope_scaling": {**scaling, "original_max_position_embeddings": length}} if kind == "llama" else {}
    config = transformers.AutoConfig.for_model(
        kind,
        **scaled,
        vocab_size=2048,
        hidden_size=192,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=2048,
        rope_theta=1_000_000.0,
        tie_word_embeddings=True,
        initializer_range=0.1,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(3)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        # A bias or a norm at its initial value would hide that it is lost.
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.to(torch.bfloat16).save_pretrained(directory)
    written = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(written | {"torch_dtype": "bfloat16"}))
    if kind == "llama":
        add_rotary_buffers(directory, config.num_hidden_layers)
    write_tokenizer(directory)


def add_rotary_buffers(directory: Path, layers: int) -> None:
    """What files of Llama 2 hold beside the weights."""
    import torch
    from safetensors.torch import load_file, save_file

    file = directory / "model.safetensors"
    buffers = {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.ones(16) for layer in range(layers)}
    save_file({**load_file(file), **buffers}, file, metadata={"format": "pt"})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
