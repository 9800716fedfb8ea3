"""The guide's generation, as a script of one's own does it: the teacher answers the last question of each conversation
in one ``llm.generate`` call, and the answers become a dataset for SFT. Runs in the teacher's environment.

``python answer.py PROGRAM MODEL FOLDER``: PROGRAM is the job's GenerateProgram as JSON, whose engine and sampling are
used. FOLDER has ``train/rows.jsonl`` and ``holdout/rows.jsonl``; an ``answers.parquet`` is written beside each.
"""

import itertools
import json
import os
import sys
from pathlib import Path

from distillation_api.contract import GenerateProgram
from distillation_stages.programs.generate.vllm_engine import engine_arguments
from distillation_stages.runtime.environment import set_environment


def main(program: GenerateProgram, model: Path, folder: Path) -> None:
    """Answer all and write."""
    set_environment()
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    import pyarrow as pa
    import pyarrow.parquet as pq
    import vllm

    parts = [folder / name / "rows.jsonl" for name in ("train", "holdout")]
    prompts = [[json.loads(line)["messages"][:-1] for line in part.read_text().splitlines()] for part in parts]
    engine = vllm.LLM(**engine_arguments(model, program, program.sampling.seed, on_cpu=True))
    tokenizer = engine.get_tokenizer()
    asked = [
        {"prompt_token_ids": tokenizer(text, add_special_tokens=False)["input_ids"]}
        for prompt in itertools.chain(*prompts)
        for text in [tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)]
    ]
    sampling = program.sampling
    parameters = vllm.SamplingParams(temperature=sampling.temperature, max_tokens=sampling.max_tokens)
    answers = iter([output.outputs[0].text for output in engine.generate(asked, parameters, use_tqdm=False)])
    for part, of_part in zip(parts, prompts, strict=True):
        messages = [[*prompt, {"role": "assistant", "content": next(answers)}] for prompt in of_part]
        pq.write_table(pa.table({"messages": messages}), part.with_name("answers.parquet"))


if __name__ == "__main__":
    main(GenerateProgram.model_validate_json(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
