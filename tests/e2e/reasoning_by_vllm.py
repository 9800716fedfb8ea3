"""What vLLM makes of the texts of ``reasoning_texts``: ``python reasoning_by_vllm.py PARSER...``.

Prints a JSON object. ``parsed``: of the texts of these parsers, in order, reasoning and answer as vLLM's own parsers
split them. ``written``: of all texts, what vLLM writes of their tokens, asked as for a teacher whose marks they are.
Loads no engine. Needs vLLM.
"""

import json
import sys
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.reasoning import ReasoningParserManager
from vllm.v1.engine import EngineCoreRequest
from vllm.v1.engine.detokenizer import IncrementalDetokenizer

from distillation_api.contract import Sampling
from distillation_stages.models.reasoning_marks import MARKS
from distillation_stages.models.teacher_reasoning import find_reasoning
from distillation_stages.programs.generate.vllm_engine import sampling_parameters
from support.reasoning_texts import TEXTS, Answered

ALSO_LOOKED_UP = ("<tool_call>", "</tool_call>", "[TOOL_CALLS]")
"""Tokens that vLLM's parsers want in a vocabulary besides the marks."""


def tokenizer_of(answered: Answered) -> PreTrainedTokenizerFast:
    """Bytes, and the family's marks, special where they are."""
    alphabet = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = next(marks for marks in MARKS if marks.name == answered.family)
    plain = {*ALSO_LOOKED_UP} if answered.special else {*ALSO_LOOKED_UP, *marks.all()}
    tokenizer.add_tokens(sorted(plain))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in answered.special])
    template = f"{{{{ messages }}}} {(marks.spoken or (marks.opening,))[0]}"
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template)


def parsed(answered: Answered) -> list[str]:
    """Reasoning and answer by vLLM."""
    parser: Any = ReasoningParserManager.get_reasoning_parser(answered.parser)(tokenizer_of(answered))
    request = ChatCompletionRequest(model="any", messages=[{"role": "user", "content": "What is 2 and 2?"}])
    reasoning, answer = parser.extract_reasoning(answered.text, request)
    return [(reasoning or "").strip(), (answer or "").strip()]


def written(answered: Answered) -> str:
    """The text of the tokens, one after the other, as the engine writes it."""
    tokenizer = tokenizer_of(answered)
    special = find_reasoning(tokenizer, [], "StripClosed").keeps_special_tokens
    sampling = Sampling(temperature=0, top_p=1, max_tokens=1000, seed=0)
    request = EngineCoreRequest(
        request_id="0",
        prompt_token_ids=tokenizer.encode("A question."),
        mm_features=None,
        sampling_params=sampling_parameters(sampling, None, special),
        pooling_params=None,
        arrival_time=0.0,
        lora_request=None,
        cache_salt=None,
        data_parallel_rank=None,
    )
    detokenizer = IncrementalDetokenizer.from_new_request(tokenizer, request)
    for token in tokenizer.encode(answered.text, add_special_tokens=False):
        detokenizer.update([token], stop_terminated=False)
    return str(detokenizer.get_next_output_text(finished=True, delta=False))


if __name__ == "__main__":
    compared = [answered for answered in TEXTS if answered.parser in sys.argv[1:]]
    print(json.dumps({"parsed": list(map(parsed, compared)), "written": list(map(written, TEXTS))}))
