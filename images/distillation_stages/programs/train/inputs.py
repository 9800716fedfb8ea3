"""What a training run reads, the number of its steps, and the trainer's command line."""

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from distillation_api.contract import (
    LogitMatching,
    StageResult,
    SupervisedFineTuning,
    TrainProgram,
)
from distillation_stages.data.packing import SEQUENCES_PER_FILE, part_name
from distillation_stages.maxtext import distillation_config, rope_scaling
from distillation_stages.maxtext.command import (
    TRAINER_MODULE,
    TrainingPaths,
    config_file,
    training_arguments,
)
from distillation_stages.maxtext.packed_batches import Reading
from distillation_stages.models.model_directory import model_of
from distillation_stages.runtime.compile_cache import compile_cache
from distillation_stages.runtime.content import Digests, changed, listed, require_size, require_unchanged
from distillation_stages.runtime.storage import Storage


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

    sequences: Path
    steps: int
    counts: Mapping[str, int]
    """Of its rows."""

    def reading(self, program: TrainProgram, done: int) -> Reading:
        """What is read after ``done`` steps."""
        return Reading(str(self.sequences), done, self.steps, program.sequences_per_step)


HASHED = 8 << 30
"""Bytes of sequences that the leading host hashes before it trains."""

REPEATED = ("rows", "answers", "promptTooLong", "answerCut", "answersLeftOut")
"""What the result of a training tells of its rows again: reports read the training's marker alone."""


def read_inputs(program: TrainProgram, storage: Storage, leads: bool) -> Inputs:
    """What the stage pack-NAME has laid out. The host that ``leads`` sees that it is as it was laid out: read once it
    costs seconds, and the others start meanwhile.
    """
    packed = storage.require_marker(program.data)
    counts = {name: packed.counts[name] for name in REPEATED if name in packed.counts}
    steps, sequences = packed.counts["steps"], storage.at(packed.outputs["sequences"])
    if leads and packed.parts:
        files = listed(storage, program.data, packed, sequences)
        for number in range(math.ceil(steps * program.sequences_per_step / SEQUENCES_PER_FILE)):
            if sequences / part_name(number) not in files:
                raise changed(program.data, sequences / part_name(number), "its marker doesn't name it")
        require_unchanged(program.data, _first_of(files), whole=True)
    return Inputs(sequences, steps, counts)


def _first_of(files: Digests) -> Digests:
    """As many as are hashed in the time that the other hosts wait."""
    size, taken = 0, {}
    for path, digest in files.items():
        size += path.stat().st_size if path.exists() else 0
        if size > HASHED:
            break
        taken[path] = digest
    return taken


def require_checkpoints(program: TrainProgram, storage: Storage) -> None:
    """Raise StageError when a file of a checkpoint that is loaded is gone, or a small one has changed, by which Orbax
    finds all others, or when their sizes don't add up. A training's own checkpoints name no files.
    """
    objective = program.objective
    for directory in (program.start, *([objective.teacher] if isinstance(objective, LogitMatching) else [])):
        marker = storage.require_marker(directory)
        files = listed(storage, directory, marker, storage.at(marker.outputs["checkpoint"]))
        require_size(directory, marker, files)
        require_unchanged(directory, files, whole=False)


def trainer_command(
    program: TrainProgram, reading: Reading, storage: Storage, start: StageResult, output: Path, scratch: Path
) -> list[str]:
    """The trainer's command line."""
    steps = reading.steps
    paths = TrainingPaths(
        checkpoint=storage.at(start.outputs["checkpoint"]),
        tokenizer=model_of(storage, program.tokenizer),
        output=output,
        jax_cache=compile_cache(storage, scratch / "jax", "jax", program.hardware),
    )
    python = [sys.executable, "-m", TRAINER_MODULE]
    match program.objective:
        case SupervisedFineTuning():
            settings = training_arguments(program, steps, start.settings, paths)
            scaling = rope_scaling.start_argument({paths.checkpoint: start.settings})
            return [*python, "sft", str(config_file("post_train/sft.yml")), *settings, *scaling, reading.argument()]
        case LogitMatching() as matching:
            converted = storage.require_marker(matching.teacher)
            teacher = distillation_config.Checkpoint(storage.at(converted.outputs["checkpoint"]), converted.settings)
            student = distillation_config.Checkpoint(paths.checkpoint, start.settings)
            config = distillation_config.configuration(program, matching, steps, student, teacher, paths)
            scaling = rope_scaling.start_argument({model.path: model.settings for model in (student, teacher)})
            path = distillation_config.write(config, scratch / distillation_config.CONFIG_NAME)
            return [*python, "distill", str(path), *scaling, reading.argument()]
        case unknown:
            assert_never(unknown)
