"""Log-probabilities by transformers: ``python log_probabilities.py MODEL``, as ``served.py`` has them of vLLM."""

import json
import sys


def main(model: str) -> None:
    """In float32."""
    import torch
    import transformers

    from distillation_stages.models.attention_scale import mend_attention_scale

    loaded = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    mend_attention_scale(loaded)
    told = []
    for tokens in json.load(sys.stdin):
        row = torch.tensor(tokens)
        with torch.no_grad():
            logits = loaded(input_ids=row[None]).logits[0, :-1]
        told.append(torch.log_softmax(logits.double(), -1).gather(-1, row[1:, None])[:, 0].tolist())
    print("TOLD", json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
