"""The guide's look at what came of it: cross-entropy of the student before and after on answers that were held out, and
what both say themselves. Runs in the converter's environment.

``python score.py ANSWERS BEFORE AFTER COUNT LIMIT``: ANSWERS is a Parquet file of ``messages``, of which the last is
scored; to the first COUNT of them each model gives an answer of at most LIMIT tokens. The last line printed is JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

from distillation_stages.runtime.environment import set_environment


def main(answers: Path, models: dict[str, Path], count: int, limit: int) -> None:
    """Score, let them answer, print."""
    set_environment()
    import pyarrow.parquet as pq

    conversations = pq.read_table(answers)["messages"].to_pylist()
    print(json.dumps({name: measure(model, conversations, count, limit) for name, model in models.items()}))


def measure(model: Path, conversations: list[Any], count: int, limit: int) -> dict[str, Any]:
    """Of one model: nats per token of the last answers, and its own answers."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    loaded.eval()
    loss, tokens, said = 0.0, 0, []
    with torch.no_grad():
        for number, conversation in enumerate(conversations):
            text = tokenizer.apply_chat_template(conversation[:-1], add_generation_prompt=True, tokenize=False)
            prompt = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
            answer = tokenizer(conversation[-1]["content"], add_special_tokens=False, return_tensors="pt")["input_ids"]
            logits = loaded(torch.cat([prompt, answer], 1)).logits[0, prompt.shape[1] - 1 : -1]
            loss += float(torch.nn.functional.cross_entropy(logits, answer[0], reduction="sum"))
            tokens += answer.shape[1]
            if number < count:
                made = loaded.generate(prompt, max_new_tokens=limit, do_sample=False)
                said.append(tokenizer.decode(made[0, prompt.shape[1] :], skip_special_tokens=True))
    return {"crossEntropy": loss / tokens, "answers": said}


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        {"before": Path(sys.argv[2]), "after": Path(sys.argv[3])},
        int(sys.argv[4]),
        int(sys.argv[5]),
    )
