"""Tokens per second of the generation program against one bare ``llm.generate`` call.

Same prompts, same engine, same machine, one run; the last line printed is JSON, with both rates and their ratio. The
two take turns, each first in every other round, and each one's tokens over all rounds are divided by its seconds: the
machine's own ups and downs, which are greater than what is looked for, fall on both. Loading the engine is in neither.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from distillation_api.contract import GenerateProgram, Sampling, StageResult, StageSpec
from distillation_stages.data.tables import PREPARED, write_table
from distillation_stages.runtime.storage import Storage

SEED = 7


def program() -> GenerateProgram:
    """What both are measured at: greedy, with every answer kept."""
    return GenerateProgram(
        model="fetch-teacher",
        dataset="prepare",
        shards=1,
        chunk_rows=64,
        max_model_len=512,
        dtype="float32",
        sampling=Sampling(temperature=0.0, top_p=1.0, max_tokens=16, seed=SEED, keep_truncated=True),
        max_lost_share=1.0,
    )


def write_prompts(storage: Storage, count: int) -> None:
    """Questions of 6 to 20 words, as the prepare stage leaves them."""
    rows = [
        {
            "row": row,
            "prompt": [{"role": "user", "content": " ".join(f"item {row * word}," for word in range(3 + row % 8))}],
            "reference": None,
        }
        for row in range(count)
    ]
    write_table(storage.at("prepare/train/part-00000.parquet"), PREPARED, rows)
    write_table(storage.at("prepare/holdout/part-00000.parquet"), PREPARED, [])
    outputs = {"train": "prepare/train", "holdout": "prepare/holdout"}
    storage.write_marker("prepare", StageResult(stage="prepare", fingerprint="p", outputs=outputs))


def measure_bare(mount: Path) -> None:
    """In the teacher's environment: print the rate of one ``llm.generate`` call."""
    from distillation_stages.data.tables import parts_of, read_rows
    from distillation_stages.models.rendering import Renderer
    from distillation_stages.programs.generate.vllm_engine import engine_arguments
    from distillation_stages.runtime.environment import set_environment

    set_environment()
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    import vllm

    storage = Storage(mount)
    model = storage.at(storage.require_marker("fetch-teacher").outputs["model"])
    sampling = program().sampling
    renderer = Renderer.load(model)
    prompts = [
        {"prompt_token_ids": renderer.prompt_ids(row["prompt"])}
        for row in read_rows(parts_of(storage.at("prepare/train")))
    ]
    engine = vllm.LLM(**engine_arguments(model, program(), SEED, on_cpu=True))
    parameters = vllm.SamplingParams(temperature=sampling.temperature, max_tokens=sampling.max_tokens)
    started = time.monotonic()
    outputs = engine.generate(prompts, parameters, use_tqdm=False)
    seconds = time.monotonic() - started
    print(json.dumps({"tokensPerSecond": sum(len(output.outputs[0].token_ids) for output in outputs) / seconds}))


def measure_alone(python: Path, storage: Storage) -> float:
    """The rate of the bare call, in a process of its own."""
    from e2e.stage_programs import environment

    command = [str(python), __file__, "--bare", str(storage.mount)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment())
    return float(json.loads(told.stdout.splitlines()[-1])["tokensPerSecond"])


def measure_program(python: Path, storage: Storage, folder: Path, name: str) -> float:
    """The rate of the generation program."""
    from e2e.stage_programs import run_stage

    spec = StageSpec(stage="generate", fingerprint="g", output=name, program=program())
    return run_stage(python, spec, storage.mount, folder / name).metrics["tokensPerSecond"]


def main() -> int:
    """Measure, print, and fail below ``--least``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--least", type=float, default=0.97, help="the ratio below which the exit code is 1")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare is not None:
        measure_bare(arguments.bare)
        return 0
    from demo.inputs.__main__ import write_inputs
    from e2e.stage_programs import interpreter

    python = interpreter("teacher")
    os.environ["JOB_COMPLETION_INDEX"] = "0"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        storage = Storage(folder / "storage")
        write_inputs(storage.mount)
        # The smaller model: the less the engine has to do, the more our own work would weigh.
        outputs = {"model": "models/smollm2-6-layers"}
        storage.write_marker("fetch-teacher", StageResult(stage="fetch", fingerprint="f", outputs=outputs))
        write_prompts(storage, arguments.prompts)
        bare, ours = [], []
        for number in range(arguments.rounds):
            if number % 2:
                ours.append(measure_program(python, storage, folder, f"generate-{number}"))
            bare.append(measure_alone(python, storage))
            if not number % 2:
                ours.append(measure_program(python, storage, folder, f"generate-{number}"))
            print(
                f"round {number + 1}: bare {bare[-1]:.1f}, program {ours[-1]:.1f} tokens/s", file=sys.stderr, flush=True
            )
    # The same tokens each time, so tokens over seconds is the harmonic mean.
    rates = {"bare": statistics.harmonic_mean(bare), "program": statistics.harmonic_mean(ours)}
    ratio = rates["program"] / rates["bare"]
    figures = {"prompts": arguments.prompts, "rounds": arguments.rounds, **rates, "ratio": round(ratio, 3)}
    print(json.dumps(figures))
    return 0 if ratio >= arguments.least else 1


if __name__ == "__main__":
    sys.exit(main())
