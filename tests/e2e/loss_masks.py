"""Tells what MaxText learns of rows that a training stage has laid out: ``python loss_masks.py DIRECTORY``.

MaxText's own input pipeline reads them, with tokenizers that come with it. Prints a JSON object: by case, the counts of
the stage, and the texts of the first batch with the stretches of each that are learnt. One process for all, since its
imports take most of the time. Needs MaxText.
"""

import itertools
import json
import operator
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillation_api.contract import StageResult, SupervisedFineTuning, TrainData, TrainProgram
from distillation_api.contract.train import TrainOn
from distillation_stages.data.tables import PREPARED, Row, write_table
from distillation_stages.maxtext.command import TrainingPaths, config_file, training_arguments
from distillation_stages.maxtext.start import patch_imports, patch_worker_count
from distillation_stages.models.rendering import Renderer
from distillation_stages.programs.train.inputs import Host, read_inputs, write_data
from distillation_stages.runtime.storage import Storage

LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = "
    "messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}{% if loop.index0 == 0 and system_message != false %}{% set content = "
    "'<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = "
    "message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + "
    "' [/INST]' }}{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
"""As Meta's repositories have it."""
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SYSTEM = {"role": "system", "content": "Be brief."}


def chat(*contents: str, system: bool = False) -> list[dict[str, str]]:
    """Turns of user and assistant in turn, behind a system message."""
    turns = [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(contents)]
    return [*([SYSTEM] if system else []), *turns]


ONE = chat("What is a rainbow?", "Light in raindrops.")
TWO = chat("How do magnets work?", "By their fields.", "Which metals?", "Iron, and few others.", system=True)
THREE = chat("Hello!", "Hello.", "Add 2 and 3.", "It is 5.", "And 4?", "Then 9.")
THINKING = chat("Add 2 and 3.", "<think>\nTwo and three.\n</think>\n\nIt is 5.", "And 4?", "Then 9.")


@dataclass
class Case:
    """A tokenizer, conversations, and settings of the training stage."""

    tokenizer: str
    template: str | None = None
    """Instead of the tokenizer's own."""
    conversations: list[list[dict[str, str]]] = field(default_factory=lambda: [ONE, TWO, THREE])
    train_on: TrainOn = "EveryAssistantTurn"
    max_target_length: int = 256
    packing: bool = False
    batch: int = 3
    """Rows of MaxText's, each of several conversations where they are packed."""


CASES = {
    "every turn": Case("llama2", LLAMA2),
    "every turn, packed": Case("llama2", LLAMA2, packing=True, batch=1),
    "the last turn": Case("llama2", LLAMA2, train_on="LastAssistantTurn"),
    "cut": Case("llama2", LLAMA2, [THREE], max_target_length=33, batch=1),
    "marks around turns": Case("qwen3", CHATML),
    "earlier reasoning is taken out": Case("qwen3", conversations=[THINKING, ONE]),
}


def main(directory: Path) -> None:
    """Print what is learnt in each case."""
    patch_imports()
    from maxtext.input_pipeline import hf_data_processing

    patch_worker_count(hf_data_processing)
    print(json.dumps({name: learnt(case, directory / str(n)) for n, (name, case) in enumerate(CASES.items())}))


def learnt(case: Case, folder: Path) -> dict[str, Any]:
    """What MaxText's trainers see of the case, and what of it they learn."""
    import jax
    from maxtext.configs import pyconfig
    from maxtext.input_pipeline import input_pipeline_interface
    from maxtext.trainers.post_train.distillation import distillation_utils
    from maxtext.utils import maxtext_utils

    storage = Storage(folder / "storage")
    write_model(storage, case)
    rows: list[Row] = [
        {"row": number, "prompt": turns[:-1], "reference": turns[-1]["content"]}
        for number, turns in enumerate(case.conversations)
    ]
    write_table(storage.at("prepare/train/part-00000.parquet"), PREPARED, rows)
    finish(storage, "prepare", train="prepare/train")
    program = program_of(case)
    inputs = read_inputs(program, storage, folder)
    write_data(program, inputs, Host(0, 1), 0, folder)
    paths = TrainingPaths(folder, folder / "tokenizer", folder / "data", folder, folder)
    arguments = [*training_arguments(program, inputs.steps, {}, paths), "log_config=False"]
    config = pyconfig.initialize(["", str(config_file("post_train/sft.yml")), *arguments])
    mesh = jax.sharding.Mesh(maxtext_utils.create_device_mesh(config), config.mesh_axes)
    batches, _ = input_pipeline_interface.create_data_iterator(config, mesh)
    batch = next(batches)
    # As the trainer of logit matching takes it.
    matched = next(distillation_utils.MaxTextToTunixIterator(iter([batch])))
    tokenizer = Renderer.load(storage.at("student/model")).tokenizer
    whole = [tokenizer(row.text, add_special_tokens=False)["input_ids"] for row in inputs.rows]
    texts = [text for row in zip(*(batch[name].tolist() for name in READ), strict=True) for text in split(*row)]
    return {
        "counts": inputs.counts,
        "texts": [[tokenizer.decode(given), [tokenizer.decode(part) for part in parts]] for given, parts in texts],
        "read as one text": all(given in whole for given, _ in texts),
        "matched alike": (matched.targets_segmentation == batch["targets_segmentation"]).all().item(),
    }


READ = ("inputs", "inputs_segmentation", "targets", "targets_segmentation")
"""Of a batch. A target is learnt where its segmentation isn't 0."""


def split(
    inputs: list[int], segments: list[int], targets: list[int], weights: list[int]
) -> Iterator[tuple[list[int], list[list[int]]]]:
    """The texts that are packed into a row, each with its learnt stretches.

    Without packing MaxText fills the segmentation up with the padding token's number; there nothing is learnt.
    """
    for segment in dict.fromkeys(segments):
        text = [token for token, of in zip(inputs, segments, strict=True) if of == segment]
        parts = [
            [token for token, _ in part]
            for weight, part in itertools.groupby(zip(targets, weights, strict=True), key=operator.itemgetter(1))
            if weight == segment
        ]
        if segment and parts:
            yield text, parts


def write_model(storage: Storage, case: Case) -> None:
    """The student as fetch leaves it, as far as training's rows ask for it."""
    from transformers import AutoTokenizer

    assets = config_file("").parent / "assets" / "tokenizers"
    model = storage.at("student/model")
    model.mkdir(parents=True)
    if case.tokenizer == "qwen3":
        shutil.copytree(assets / "qwen3-tokenizer", model, dirs_exist_ok=True)
    else:
        shutil.copyfile(assets / f"tokenizer.{case.tokenizer}", model / "tokenizer.model")
        settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
        (model / "tokenizer_config.json").write_text(json.dumps(settings))
        AutoTokenizer.from_pretrained(model).save_pretrained(model)
    if case.template is not None:
        (model / "chat_template.jinja").write_text(case.template)
    finish(storage, "student", model="student/model")


def finish(storage: Storage, directory: str, **outputs: str) -> None:
    """The marker of a stage that has ended."""
    storage.write_marker(directory, StageResult(stage=directory, fingerprint="f", outputs=outputs))


def program_of(case: Case) -> TrainProgram:
    """The training stage as the operator asks for it."""
    return TrainProgram(
        start="convert-student",
        tokenizer="student",
        data=TrainData(kind="OriginalDataset", dataset="prepare", train_on=case.train_on),
        objective=SupervisedFineTuning(),
        steps=1,
        epochs=100,
        per_device_batch_size=case.batch,
        learning_rate=1e-3,
        warmup_steps_fraction=0.1,
        checkpoint_period=1000,
        dtype="float32",
        weight_dtype="float32",
        parallelism={"fsdp": 1},
        hardware="cpu",
        max_target_length=case.max_target_length,
        packing=case.packing,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
