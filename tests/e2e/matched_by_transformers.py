"""A student's KL to its teacher on one answer, and its loss: ``python matched_by_transformers.py STUDENT TEACHER``.

The conversation is standard input, as JSON: a list of turns of which the last is the answer. Needs torch.
"""

import json
import sys
from typing import Any


def main(student: str, teacher: str) -> None:
    """Of each token of the answer and of its end, by transformers in float32."""
    import torch
    import transformers

    conversation = json.load(sys.stdin)
    tokenizer = transformers.AutoTokenizer.from_pretrained(student)

    def tokens(turns: list[dict[str, str]]) -> Any:
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        return tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]

    whole, prompt = tokens(conversation), tokens(conversation[:-1])
    logs = []
    for model in (student, teacher):
        loaded = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
        with torch.no_grad():
            logits = loaded(input_ids=whole).logits[0, prompt.shape[1] - 1 : -1]
        logs.append(torch.log_softmax(logits.double(), -1))
    ours, theirs = logs
    loss = -ours.gather(-1, whole[0, prompt.shape[1] :, None]).mean()
    print(float((theirs.exp() * (theirs - ours)).sum(-1).mean()), float(loss))


if __name__ == "__main__":
    main(*sys.argv[1:])
