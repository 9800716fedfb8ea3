"""The small recipe by the operator against the guide's commands one after the other: wall time, from inputs to a scored
student.

The operator is ``distillation-operator local`` on the quickstart's job. The script runs, each in a process of its own
and in the environment of its image: one bare vLLM call for the answers, MaxText's own modules for the conversion, SFT
and the conversion back, and a plain look at the scores (benchmarks/by_hand). Both have the same inputs on this disk, so
neither downloads anything; the same engine, settings and steps; and each run begins with empty caches of compiled
programs. Both run on this machine in one run, each first in every other round.

Not the same: the operator also compares the logits of both conversions, tries the template on all prompts, lays the
training data out, measures KL to the teacher and writes a report; the script leaves that out, as the guide does. What
either takes until the student is exported is reported too.

The last line printed is JSON; the exit code is 1 when the ratio is above ``--most``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.own_pipeline import BARE_MODULE, sft_config
from demo.inputs.__main__ import CONVERSATIONS, write_inputs
from demo.result import result_of
from distillation_api.contract import GenerateProgram, TrainProgram
from distillation_api.resource import DistillationJob
from distillation_operator.pipeline.graph import build_pipeline
from distillation_stages.maxtext.checkpoints import ITEM
from distillation_stages.maxtext.command import RUN_NAME, TrainingPaths, arguments, training_arguments
from distillation_stages.maxtext.families import Settings, sized_settings
from distillation_stages.models.model_config import read_config
from e2e.stage_programs import environment, interpreter

CHECKOUT = Path(__file__).resolve().parents[1]
EXAMPLE = CHECKOUT / "examples" / "quickstart.yaml"
BY_HAND = Path(__file__).with_name("by_hand")
MAXTEXT_MODEL = "llama3.1-8b"
"""MaxText's name of the student's architecture."""
OWN_ANSWERS, OWN_ANSWER_TOKENS = 16, 48
"""How many prompts each student answers in the evaluation, and the tokens of an answer: as in the operator's here."""

Object = dict[str, Any]


def job_of(example: Object, rows: int | None, steps: int | None) -> Object:
    """The example without its gate, of which a smaller job could fail. ``rows`` and ``steps``: of a smaller one."""
    spec = dict(example["spec"])
    evaluation = {name: value for name, value in spec["evaluation"].items() if name != "require"}
    [stage] = spec["training"]["stages"]
    training = {**spec["training"], "stages": [{**stage, "steps": steps or stage["steps"]}]}
    dataset = {**spec["dataset"], "limit": rows or spec["dataset"]["limit"]}
    return {**example, "spec": {**spec, "dataset": dataset, "training": training, "evaluation": evaluation}}


@dataclass(frozen=True)
class Command:
    """One of the guide's commands."""

    name: str
    image: str
    """Whose environment it runs in."""
    line: Sequence[str]
    """After the interpreter."""


@dataclass(frozen=True)
class Recipe:
    """What both do, of the job's own stages."""

    generate: GenerateProgram
    train: TrainProgram
    steps: int
    epochs: int
    rows: int
    """Of the dataset; the last ``holdout`` of them are scored, and not trained on."""
    holdout: int

    @classmethod
    def of(cls, job: Object) -> "Recipe":
        """Of the DistillationJob."""
        spec = DistillationJob.parse(job).spec
        programs = {stage.name: stage.program for stage in build_pipeline(spec).values()}
        [stage] = spec.training.stages
        generate, train = programs["generate"], programs[f"train-{stage.name}"]
        assert isinstance(generate, GenerateProgram) and isinstance(train, TrainProgram)
        rows, holdout = spec.dataset.limit, spec.dataset.holdout
        assert stage.steps is not None and rows is not None
        return cls(generate, train, stage.steps, stage.epochs or 1, rows, holdout)

    def commands(self, storage: Path, folder: Path, config: Path, settings: Settings) -> list[Command]:
        """The commands in their order. ``config``: of MaxText's SFT; ``settings``: of the student."""
        teacher, student = storage / "models/smollm2-135m-instruct", storage / "models/smollm2-6-layers"
        converted, output, exported = folder / "converted", folder / "trained", folder / "exported"
        cache = folder / "jax"
        answers = {name: folder / name / "answers.parquet" for name in ("train", "holdout")}
        own_data = {
            "hf_path": "parquet",
            "hf_train_files": str(answers["train"]),
            "train_split": "train",
            "train_data_columns": "['messages']",
            "num_epoch": str(self.epochs),
        }
        paths = TrainingPaths(converted / "0" / "items", student, output, cache)
        sft = [str(config), *training_arguments(self.train, self.steps, settings, paths), *arguments(own_data)]
        checkpoint = output / RUN_NAME / "checkpoints" / str(self.steps) / ITEM
        shared: Settings = {
            **settings,
            "hardware": "cpu",
            "skip_jax_distributed_system": True,
            "weight_dtype": "float32",
            "jax_cache_dir": str(cache),
        }
        base = str(config.parents[1] / "base.yml")
        there = {**shared, "run_name": "convert", "base_output_directory": str(converted), "attention": "dot_product"}
        back = {
            **shared,
            "run_name": "export",
            "base_output_directory": str(exported),
            "load_parameters_path": str(checkpoint),
            "tokenizer_path": str(student),
        }
        module = [str(BY_HAND / "maxtext_module.py"), MAXTEXT_MODEL, str(student)]
        to_maxtext = ["--hf_model_path", str(student), "--save_dtype", "float32", "--simulated_cpu_devices_count", "1"]
        score = [str(answers["holdout"]), str(student), str(exported), str(OWN_ANSWERS), str(OWN_ANSWER_TOKENS)]
        program = self.generate.model_dump_json(by_alias=True)
        return [
            Command(
                "convert",
                "converter",
                [*module, "maxtext.checkpoint_conversion.to_maxtext", *to_maxtext, base, *arguments(there)],
            ),
            Command("generate", "teacher", [str(BY_HAND / "answer.py"), program, str(teacher), str(folder)]),
            Command("train", "trainer", ["-m", BARE_MODULE, *sft]),
            Command(
                "export", "converter", [*module, "maxtext.checkpoint_conversion.to_huggingface", base, *arguments(back)]
            ),
            Command("evaluate", "converter", [str(BY_HAND / "score.py"), *score]),
        ]


def split_rows(lines: Sequence[str], recipe: Recipe) -> dict[str, list[str]]:
    """The conversations that the script trains on and scores."""
    taken = list(lines[: recipe.rows])
    return {"train": taken[: recipe.rows - recipe.holdout], "holdout": taken[recipe.rows - recipe.holdout :]}


@dataclass(frozen=True)
class Timed:
    """One run of the whole recipe."""

    seconds: float
    to_the_student: float
    """Seconds until the student was exported."""
    parts: dict[str, float]
    """Seconds of stages or commands."""
    cross_entropy: tuple[float, float]
    """Nats per token on what was held out, before and after."""


def figures(operator: Sequence[Timed], script: Sequence[Timed]) -> Object:
    """What is printed."""
    both = {"operator": operator, "script": script}
    medians = {name: statistics.median(run.seconds for run in runs) for name, runs in both.items()}
    students = {name: statistics.median(run.to_the_student for run in runs) for name, runs in both.items()}
    return {
        "rounds": len(operator),
        "cores": os.cpu_count(),
        "seconds": {name: [round(run.seconds, 1) for run in runs] for name, runs in both.items()},
        "ratio": round(medians["operator"] / medians["script"], 3),
        "secondsToTheStudent": {name: [round(run.to_the_student, 1) for run in runs] for name, runs in both.items()},
        "ratioToTheStudent": round(students["operator"] / students["script"], 3),
        "secondsOfParts": {name: [run.parts for run in runs] for name, runs in both.items()},
        "crossEntropy": {name: [run.cross_entropy for run in runs] for name, runs in both.items()},
    }


def until_export(status: Object, started: float) -> float:
    """Seconds from the start, as a time since the epoch, to the end of the job's export."""
    [export] = [stage for stage in status["stages"] if stage["name"] == "export"]
    return datetime.fromisoformat(export["completionTime"]).timestamp() - started


def by_operator(job: Object, folder: Path) -> Timed:
    """One run of the job by ``local``, on a storage of its own."""
    storage = folder / "storage"
    write_inputs(storage)
    file = folder / "job.yaml"
    file.write_text(yaml.safe_dump(job))
    path = os.pathsep.join(str(CHECKOUT / name) for name in ("operator", "images"))
    command = [sys.executable, "-m", "distillation_operator", "local", str(file), "--storage", str(storage)]
    started, began = time.time(), time.monotonic()
    run_logged(command, os.environ | {"PYTHONPATH": path}, folder / "local.log")
    seconds = time.monotonic() - began
    job_with_status = yaml.safe_load((storage / job["metadata"]["name"] / "status.yaml").read_text())
    result = result_of(job_with_status)
    return Timed(
        seconds=seconds,
        to_the_student=until_export(job_with_status["status"], started),
        parts={stage["name"]: stage["seconds"] for stage in result["stages"]},
        cross_entropy=(result["crossEntropyBefore"], result["crossEntropyAfter"]),
    )


def by_script(recipe: Recipe, folder: Path, config: Path) -> Timed:
    """One run of the commands, on a storage of its own."""
    storage = folder / "storage"
    write_inputs(storage)
    settings = sized_settings(MAXTEXT_MODEL, read_config(storage / "models/smollm2-6-layers"))
    for name, lines in split_rows(CONVERSATIONS.read_text().splitlines(), recipe).items():
        (folder / name).mkdir()
        (folder / name / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines))
    parts: dict[str, float] = {}
    began = time.monotonic()
    for command in recipe.commands(storage, folder, config, settings):
        started = time.monotonic()
        line = [str(interpreter(command.image)), *command.line]
        run_logged(line, environment(HOME=str(folder), TF_CPP_MIN_LOG_LEVEL="3"), folder / f"{command.name}.log")
        parts[command.name] = round(time.monotonic() - started, 1)
    seconds = time.monotonic() - began
    scores = json.loads((folder / "evaluate.log").read_text().splitlines()[-1])
    before, after = (round(scores[name]["crossEntropy"], 4) for name in ("before", "after"))
    return Timed(seconds, seconds - parts["evaluate"], parts, (before, after))


def run_logged(line: Sequence[str], variables: dict[str, str], log: Path) -> None:
    """Run the command to its end, with its output in ``log``. Raises RuntimeError when it fails."""
    with log.open("w") as output:
        done = subprocess.run(line, stdout=output, stderr=subprocess.STDOUT, env=variables, cwd=log.parent, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{log.stem} ended with {done.returncode}: {log.read_text()[-3000:]}")


def main() -> int:
    """Measure, print, and fail above ``--most``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rows", type=int, help="of the dataset, more than the 16 that are held out")
    parser.add_argument("--steps", type=int, help="of the training")
    parser.add_argument("--most", type=float, default=0.8, help="the ratio above which the exit code is 1")
    given = parser.parse_args()
    job = job_of(yaml.safe_load(EXAMPLE.read_text()), given.rows, given.steps)
    recipe, config = Recipe.of(job), sft_config()
    operator: list[Timed] = []
    script: list[Timed] = []
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(given.rounds):
            folders = {name: Path(scratch) / f"{name}-{turn}" for name in ("operator", "script")}
            for name in folders if turn % 2 == 0 else reversed(folders):
                folders[name].mkdir()
                if name == "operator":
                    operator.append(by_operator(job, folders[name]))
                else:
                    script.append(by_script(recipe, folders[name], config))
            last = f"operator {operator[-1].seconds:.0f} s, script {script[-1].seconds:.0f} s"
            print(f"round {turn + 1}: {last}", file=sys.stderr, flush=True)
    report = figures(operator, script)
    print(json.dumps(report))
    return 0 if report["ratio"] <= given.most else 1


if __name__ == "__main__":
    sys.exit(main())
