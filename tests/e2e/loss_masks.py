"""Tells what MaxText learns of rows that a stage pack-NAME has laid out: ``python loss_masks.py DIRECTORY``.

They come out of MaxText's own ``create_data_iterator``, with tokenizers that come with MaxText. Prints a JSON object:
by case, the counts of the stage, and the texts of the first batch with the stretches of each that are learnt; and how
they compare with what MaxText makes of the same rows itself. One process for all, since its imports take most of the
time. Needs MaxText.
"""

import itertools
import json
import operator
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from distillation_api.contract import PackProgram, StageResult, SupervisedFineTuning, TrainData, TrainOn, TrainProgram
from distillation_stages.data.tables import PREPARED, Row, write_table
from distillation_stages.data.training_rows import TrainingRow
from distillation_stages.maxtext.command import TrainingPaths, config_file, training_arguments
from distillation_stages.maxtext.packed_batches import Reading, patch_train_iterator
from distillation_stages.maxtext.start import patch_imports
from distillation_stages.maxtext.trainable_text import RenderedRows
from distillation_stages.models.rendering import Renderer
from distillation_stages.programs.pack import lay_out
from distillation_stages.runtime.storage import Storage
from e2e.maxtexts_own import write_own

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
WORDS = chat("Say <|im_end|>\n<|im_start|>system", "It is <|im_end|>.")
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
    "control tokens as words": Case("qwen3", CHATML, [WORDS], batch=1),
    "earlier reasoning is taken out": Case("qwen3", conversations=[THINKING, ONE]),
}


def main(directory: Path) -> None:
    """Print what is learnt in each case, and how our batches compare with MaxText's own."""
    patch_imports()
    told: dict[str, Any] = {name: learnt(case, directory / str(n)) for n, (name, case) in enumerate(CASES.items())}
    told["maxtexts own"] = {
        "batches": differing_batches(directory / "batches"),
        "efficiency": efficiencies(directory / "efficiency"),
    }
    print(json.dumps(told))


def learnt(case: Case, folder: Path) -> dict[str, Any]:
    """What MaxText's trainers see of the case, and what of it they learn."""
    from maxtext.trainers.post_train.distillation import distillation_utils

    tokenizer, counts = laid_out(case, folder)
    batch = next(our_batches(case, folder, counts["steps"]))
    # As the trainer of logit matching takes it.
    matched = next(distillation_utils.MaxTextToTunixIterator(iter([batch])))
    rows = list(RenderedRows(tokenizer, conversations_of(case), case.train_on == "EveryAssistantTurn"))
    whole = [tokenizer(row.text, add_special_tokens=False)["input_ids"] for row in rows]
    texts = [text for row in zip(*(batch[name].tolist() for name in READ), strict=True) for text in split(*row)]
    return {
        "counts": counts,
        "texts": [[tokenizer.decode(given), [tokenizer.decode(part) for part in parts]] for given, parts in texts],
        "read as one text": all(given in whole for given, _ in texts),
        "ends": sum(given.count(tokenizer.convert_tokens_to_ids("<|im_end|>")) for given, _ in texts),
        "matched alike": (matched.targets_segmentation == batch["targets_segmentation"]).all().item(),
    }


def laid_out(case: Case, folder: Path) -> tuple[Any, dict[str, int]]:
    """The student's tokenizer with its template, and the counts of the sequences that now lie in ``sequences``."""
    storage = Storage(folder / "storage")
    write_model(storage, case)
    rows: list[Row] = [
        {"row": number, "prompt": turns[:-1], "reference": turns[-1]["content"]}
        for number, turns in enumerate(case.conversations)
    ]
    write_table(storage.at("prepare/train/part-00000.parquet"), PREPARED, rows)
    finish(storage, "prepare", train="prepare/train")
    tokenizer = Renderer.load(storage.at("student/model")).tokenizer
    return tokenizer, lay_out("pack-x", pack_program_of(case), storage, tokenizer, folder / "sequences").counts


def conversations_of(case: Case) -> Iterator[TrainingRow]:
    """As training reads them."""
    for row, turns in enumerate(case.conversations):
        yield TrainingRow(row, turns[:-1], turns[-1]["content"])


def our_batches(case: Case, folder: Path, steps: int) -> Iterator[dict[str, Any]]:
    """What the trainers get of the sequences."""
    reading = Reading(str(folder / "sequences"), 0, steps, case.batch)
    return batches_of(case, folder, lambda interface: patch_train_iterator(interface, reading))


def batches_of(
    case: Case, folder: Path, patch: Callable[[Any], None], settings: dict[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """What MaxText's ``create_data_iterator`` gives."""
    import jax
    from maxtext.configs import pyconfig
    from maxtext.input_pipeline import hf_data_processing, input_pipeline_interface
    from maxtext.utils import maxtext_utils

    input_pipeline_interface.make_hf_train_iterator = hf_data_processing.make_hf_train_iterator
    patch(input_pipeline_interface)
    paths = TrainingPaths(folder, folder / "storage" / "student" / "model", folder, folder)
    arguments = [*training_arguments(train_program_of(case), 100, {}, paths), "log_config=False"]
    arguments += [f"{name}={value}" for name, value in (settings or {}).items()]
    config = pyconfig.initialize(["", str(config_file("post_train/sft.yml")), *arguments])
    mesh = jax.sharding.Mesh(maxtext_utils.create_device_mesh(config), config.mesh_axes)
    batches, _ = input_pipeline_interface.create_data_iterator(config, mesh)
    return iter(batches)


# Against MaxText's own pipeline, on rows that it takes right


def many(count: int) -> list[list[dict[str, str]]]:
    """Conversations of one turn, of many lengths."""
    draw = random.Random(7)
    words = [["rain", "light", "iron", "field", "sum"][draw.randrange(5)] for _ in range(200)]
    return [chat(f"Question {n}?", " ".join(words[: draw.randint(1, 60)]) + ".") for n in range(count)]


def own_batches(case: Case, folder: Path, tokenizer: Any) -> Iterator[dict[str, Any]]:
    """What MaxText's own pipeline makes of the same rows in the same order."""
    return batches_of(case, folder, without_workers, write_own(conversations_of(case), tokenizer, folder))


def without_workers(interface: Any) -> None:
    """No process that imports all of MaxText once more."""
    from maxtext.input_pipeline import hf_data_processing

    original = hf_data_processing.preprocessing_pipeline
    hf_data_processing.preprocessing_pipeline = partial(original, grain_worker_count=0)


def differing_batches(folder: Path) -> dict[str, int]:
    """Of 20 steps, how many differ, by what."""
    case = Case("qwen3", CHATML, many(80), "LastAssistantTurn", batch=4)
    tokenizer, counts = laid_out(case, folder)
    differing = Counter[str]()
    compared = 0
    ours, theirs = our_batches(case, folder, counts["steps"]), own_batches(case, folder, tokenizer)
    for our, their in itertools.islice(zip(ours, theirs, strict=False), 20):
        compared += 1
        # Padding has other numbers there; nothing sees it.
        filled = np.asarray(our["inputs_segmentation"]) == 1
        said = np.asarray(our["targets_segmentation"]) == 1
        differing["learnt"] += not np.array_equal(said, np.asarray(their["targets_segmentation"]) == 1)
        for name, where in (("inputs", filled), ("inputs_position", filled), ("targets", said)):
            differing[name] += not np.array_equal(np.asarray(our[name])[where], np.asarray(their[name])[where])
    return {"compared": compared, **differing}


def efficiencies(folder: Path) -> dict[str, float]:
    """Trained tokens over places, packed by us and by MaxText."""
    case = Case("qwen3", CHATML, many(600), "LastAssistantTurn", packing=True, batch=4)
    tokenizer, counts = laid_out(case, folder)
    ours = counts["trainedTokens"] / (counts["sequences"] * case.max_target_length)
    masks = [np.asarray(batch["targets_segmentation"]) != 0 for batch in own_batches(case, folder, tokenizer)]
    return {"ours": ours, "maxtext": float(np.mean(masks))}


READ = ("inputs", "inputs_segmentation", "targets", "targets_segmentation")
"""Of a batch. A target is learnt where its segmentation isn't 0."""


def split(
    inputs: list[int], segments: list[int], targets: list[int], weights: list[int]
) -> Iterator[tuple[list[int], list[list[int]]]]:
    """The texts that are packed into a row, each with its learnt stretches.

    Padding has the number 0.
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


def pack_program_of(case: Case) -> PackProgram:
    """The stage pack-NAME as the operator asks for it; as many epochs as one step needs."""
    return PackProgram(
        student="student",
        data=TrainData(kind="OriginalDataset", dataset="prepare", train_on=case.train_on),
        max_target_length=case.max_target_length,
        packing=case.packing,
        sequences_per_step=case.batch,
        epochs=1,
    )


def train_program_of(case: Case) -> TrainProgram:
    """The training stage as the operator asks for it."""
    return TrainProgram(
        start="convert-student",
        tokenizer="student",
        data="pack-x",
        sequences_per_step=case.batch,
        objective=SupervisedFineTuning(),
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
