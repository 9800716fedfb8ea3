"""Log-probabilities by vLLM: ``python served.py MODEL``, with lists of token ids as JSON on standard input.

A line of standard output is ``TOLD`` and JSON: of each list those of its tokens but the first.
"""

import json
import sys


def main(model: str) -> None:
    """In float32, so that what differs is no rounding."""
    import vllm

    prompts = json.load(sys.stdin)
    engine = vllm.LLM(model, dtype="float32", max_model_len=128, enforce_eager=True, enable_prefix_caching=False)
    sampling = vllm.SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
    answers = engine.generate([{"prompt_token_ids": tokens} for tokens in prompts], sampling)
    told = []
    for answer, tokens in zip(answers, prompts, strict=True):
        pairs = zip(answer.prompt_logprobs[1:], tokens[1:], strict=True)
        told.append([position[token].logprob for position, token in pairs])
    print("TOLD", json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
