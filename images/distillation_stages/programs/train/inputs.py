"""What a training run reads: its rows in order, the number of steps, and the trainer's command line."""

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from distillation_api import reasons
from distillation_api.contract import (
    LogitMatching,
    StageResult,
    SupervisedFineTuning,
    TrainProgram,
)
from distillation_stages.maxtext import distillation_config, rope_scaling
from distillation_stages.maxtext.command import (
    TRAINER_MODULE,
    TrainingPaths,
    config_file,
    jax_cache,
    rows_per_step,
    training_arguments,
)
from distillation_stages.maxtext.trainable_text import Rendered, check, endings, render_all
from distillation_stages.maxtext.training_tokenizer import write_training_tokenizer
from distillation_stages.models.rendering import Renderer
from distillation_stages.programs.train.data import (
    order,
    read_conversations,
    rows_needed,
    rows_of_step,
    steps_of_epochs,
    write_parts,
)
from distillation_stages.runtime.environment import set_environment
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.reporting import say
from distillation_stages.runtime.storage import Storage

PACKING_TOLERANCE = 1.1


@dataclass(frozen=True)
class Host:
    """This process among those of the training job."""

    index: int
    count: int

    @property
    def leads(self) -> bool:
        """Host 0 cleans up, verifies and reports."""
        return self.index == 0

    @classmethod
    def from_environment(cls, slices: int) -> "Host":
        """As the JobSet's pods are told; the hosts of a TPU slice are named by GKE."""
        workers = len(os.environ.get("TPU_WORKER_HOSTNAMES", "localhost").split(","))
        in_job = int(os.environ.get("PROCESSES_IN_JOB", workers))
        index = int(os.environ.get("JOB_INDEX", "0")) * in_job + int(os.environ.get("JOB_COMPLETION_INDEX", "0"))
        return cls(index, int(os.environ.get("JAX_PROCESS_COUNT", in_job * slices)))


@dataclass(frozen=True)
class Inputs:
    """What a run trains on, the same on every host and after every restart."""

    rows: Sequence[Rendered]
    rows_per_step: float
    """How many of them a step reads."""
    steps: int
    counts: dict[str, int]


def read_inputs(program: TrainProgram, storage: Storage, scratch: Path) -> Inputs:
    """Render and check the rows, and write the tokenizer below ``scratch``; refuse what couldn't be trained on."""
    set_environment()
    model = storage.at(storage.require_marker(program.tokenizer).outputs["model"])
    template = Renderer.load(model, program.chat_template, program.chat_template_arguments).tokenizer
    every_turn = program.data.train_on == "EveryAssistantTurn"
    rows, refused = render_all(template, read_conversations(program.data, storage), every_turn)
    answers = sum(len(row.exchanges) for row in rows)
    batch = rows_per_step(program)
    if len(rows) < batch:
        raise StageError(
            reasons.TOO_FEW_ROWS,
            f"{program.data.kind} has {len(rows)} rows to train on, one step needs {batch} (perDeviceBatchSize "
            f"{program.per_device_batch_size}); lower the batch size or give more rows",
        )
    tokenizer = write_training_tokenizer(model, scratch / "tokenizer", lambda copy: endings(rows, copy))
    checked = check(rows, tokenizer, program.max_target_length)
    per_step = rows_of_step(batch, program.packing, program.max_target_length, checked.tokens_per_row)
    steps = steps_of(program, len(rows), per_step)
    say(
        f"{len(rows)} rows with {answers} answers, {per_step:.1f} rows per step, {steps} steps; of {checked.rows} rows "
        f"checked {checked.prompts_too_long} have a prompt that fills maxTargetLength={program.max_target_length} and "
        f"{checked.truncated} an answer that is cut there; {checked.answers_left_out} of their answers begin beyond it"
    )
    counts = {
        "rows": len(rows),
        "answers": answers,
        **reasons.rejected_counts({reasons.STUDENT_TEMPLATE_REFUSED: refused} if refused else {}),
        "checkedRows": checked.rows,
        "promptTooLong": checked.prompts_too_long,
        "answerCut": checked.truncated,
        "answersLeftOut": checked.answers_left_out,
    }
    return Inputs(rows, per_step, steps, counts)


def steps_of(program: TrainProgram, rows: int, rows_per_step: float) -> int:
    """The steps to train. Raises StageError for more than the rows give in the epochs that are allowed."""
    epochs = program.epochs or 1
    if program.steps is None:
        return steps_of_epochs(epochs, rows, rows_per_step)
    # Packed, the rows of a step are estimated.
    estimated = PACKING_TOLERANCE if program.packing else 1.0
    if program.steps * rows_per_step > rows * epochs * estimated:
        raise StageError(
            reasons.TOO_FEW_ROWS,
            f"{program.steps} steps of {rows_per_step:.4g} rows read {program.steps * rows_per_step:.0f}, but "
            f"{program.data.kind} has {rows}, each read at most {epochs} times; lower steps to "
            f"{int(rows * epochs / rows_per_step)} or set epochs to {math.ceil(program.steps * rows_per_step / rows)}",
        )
    return program.steps


def write_data(program: TrainProgram, inputs: Inputs, host: Host, done: int, scratch: Path) -> None:
    """Write the rows that the steps after ``done`` read, one file per host."""
    batch = rows_per_step(program)
    # The SFT trainer fetches a batch before it looks whether it has ended; the other one trains on all that there is.
    spare = 1 if isinstance(program.objective, SupervisedFineTuning) else 0
    count = rows_needed(inputs.steps - done + spare, batch, program.packing, inputs.rows_per_step)
    positions = order(len(inputs.rows), int(done * inputs.rows_per_step), count)
    write_parts(inputs.rows, positions, host.count, batch // host.count, scratch / "data")


def trainer_command(
    program: TrainProgram, steps: int, storage: Storage, start: StageResult, output: Path, scratch: Path
) -> list[str]:
    """The trainer's command line."""
    paths = TrainingPaths(
        checkpoint=storage.at(start.outputs["checkpoint"]),
        tokenizer=scratch / "tokenizer",
        data=scratch / "data",
        output=output,
        jax_cache=jax_cache(storage.mount, scratch / "jax", program.hardware),
    )
    python = [sys.executable, "-m", TRAINER_MODULE]
    match program.objective:
        case SupervisedFineTuning():
            settings = training_arguments(program, steps, start.settings, paths)
            scaling = rope_scaling.start_argument({paths.checkpoint: start.settings})
            return [*python, "sft", str(config_file("post_train/sft.yml")), *settings, *scaling]
        case LogitMatching() as matching:
            converted = storage.require_marker(matching.teacher)
            teacher = distillation_config.Checkpoint(storage.at(converted.outputs["checkpoint"]), converted.settings)
            student = distillation_config.Checkpoint(paths.checkpoint, start.settings)
            config = distillation_config.configuration(program, matching, steps, student, teacher, paths)
            scaling = rope_scaling.start_argument({model.path: model.settings for model in (student, teacher)})
            path = distillation_config.write(config, scratch / distillation_config.CONFIG_NAME)
            return [*python, "distill", str(path), *scaling]
        case unknown:
            assert_never(unknown)
