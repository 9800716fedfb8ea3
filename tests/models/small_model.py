"""Makes a small random model: ``python small_model.py DIRECTORY``, of what is told as JSON on standard input.

Needs torch. ``config`` becomes its config.json, ``tensors`` are the names in its files, and its loss on the answers
that end the conversations ``rows`` is told. The files hold exactly the tensors that are named: the output layer of
tied embeddings too if it is, and rotary buffers.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any


def main(directory: Path, config: dict[str, Any], names: list[str], rows: list[Any]) -> None:
    """Write config.json as it is given, weights and a tokenizer; print the loss by transformers.

    Raises ValueError where the names aren't the model's.
    """
    import torch
    import transformers
    from safetensors.torch import load_file, save_file

    from e2e.small_llama import write_tokenizer

    loaded = transformers.AutoConfig.for_model(**{**config, "torch_dtype": "bfloat16"})
    torch.manual_seed(3)
    model = transformers.AutoModelForCausalLM.from_config(loaded)
    with torch.no_grad():
        # A bias or a norm at its initial value would hide that it is lost.
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name or "sinks" in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.to(torch.bfloat16).save_pretrained(directory)
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    file = directory / "model.safetensors"
    tensors = {name_on_the_hub(name, names): tensor for name, tensor in load_file(file).items()}
    tensors |= {name: beside_the_weights(name, tensors) for name in names if name not in tensors}
    if sorted(tensors) != sorted(names):
        raise ValueError(f"not in the public model's files: {sorted(tensors.keys() - set(names))}")
    save_file(tensors, file, metadata={"format": "pt"})
    (directory / "generation_config.json").unlink(missing_ok=True)
    write_tokenizer(directory)
    print("TOLD", sum(loss(directory, row) for row in rows) / len(rows))


def loss(directory: Path, row: list[dict[str, str]]) -> float:
    """Of each token of the answer and of its end, by transformers in float32 and from the files."""
    import torch
    import transformers

    from distillation_stages.models.attention_scale import mend_attention_scale

    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    mend_attention_scale(model)
    whole, prompt = (
        tokenizer(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False)["input_ids"]
        for turns in (row, row[:-1])
    )
    tokens = torch.tensor(whole)
    with torch.no_grad():
        logits = model(input_ids=tokens[None]).logits[0, len(prompt) - 1 : -1]
    return float(torch.nn.functional.cross_entropy(logits, tokens[len(prompt) :]))


def name_on_the_hub(name: str, names: list[str]) -> str:
    """The public name of a tensor; transformers 5 writes those of SigLIP without a level that public files have."""
    older = name.replace("vision_tower.", "vision_tower.vision_model.")
    return older if older in names else name


def beside_the_weights(name: str, tensors: dict[str, Any]) -> Any:
    """What public files hold beside what transformers writes."""
    import torch

    if name == "lm_head.weight":
        return tensors["model.embed_tokens.weight"].clone()
    if re.search(r"rotary_emb\.inv_freq$", name):
        return torch.ones(16)
    raise ValueError(f"transformers has no {name} in such a model, but {sorted(tensors)[:40]}")


if __name__ == "__main__":
    told = json.load(sys.stdin)
    main(Path(sys.argv[1]), told["config"], told["tensors"], told["rows"])
