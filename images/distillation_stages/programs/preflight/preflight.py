"""Tell on CPU what can be known before any accelerator is asked for; see PreflightProgram."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from distillation_api import reasons
from distillation_api.contract import PlannedGeneration, PlannedTraining, PreflightProgram, StageResult, StageSpec
from distillation_stages.data.tables import count_rows, read_rows, unchanged_parts
from distillation_stages.maxtext.trainable_text import Rendered
from distillation_stages.maxtext.training_tokens import Fitting
from distillation_stages.models.model_config import HuggingFaceConfig, architectures, read_config
from distillation_stages.models.model_directory import model_of
from distillation_stages.models.rendering import Renderer, check_system_prompt, check_system_written
from distillation_stages.models.serving import check_served
from distillation_stages.models.tpu_engine import tpu_engine
from distillation_stages.models.vocabularies import vocabulary_size
from distillation_stages.models.weights import count_parameters, parameters_of, weights_of
from distillation_stages.programs.preflight.prompts import (
    Prompts,
    Rendering,
    check_end,
    check_own_reasoning,
    check_reasoning,
    check_shares,
    check_tokens,
)
from distillation_stages.programs.preflight.sizes import (
    check_generation_context,
    check_served_heads,
    check_served_memory,
    check_trained_heads,
    check_trained_memory,
    check_training_context,
)
from distillation_stages.runtime.environment import set_environment
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.reporting import Reporter, say
from distillation_stages.runtime.storage import Storage

CHECKED_TEXTS = 50
"""Rendered texts whose tokens are compared with the vocabulary: a template puts the same marks into all."""


def run(spec: StageSpec, storage: Storage) -> StageResult:
    """All verdicts at once: the first is the stage's reason, and the message tells of each."""
    assert isinstance(spec.program, PreflightProgram)
    program, started = spec.program, time.monotonic()
    set_environment()
    teacher = model_of(storage, program.teacher, whole=True)
    student = model_of(storage, program.student, whole=True)
    verdicts = [*_of_sizes(program, teacher, student)]
    counts: dict[str, int] = {}
    try:
        counts = _of_prompts(spec, storage, teacher, student)
    except StageError as error:
        verdicts.append(error)
    if verdicts:
        raise together(verdicts)
    result = StageResult(
        stage=spec.stage,
        fingerprint=spec.fingerprint,
        counts=counts,
        seconds=round(time.monotonic() - started, 1),
    )
    storage.write_marker(spec.output, result)
    return result


def together(verdicts: list[StageError]) -> StageError:
    """One verdict that tells of all, so that nobody mends them one run after the other."""
    if len(verdicts) == 1:
        return verdicts[0]
    messages = "; ".join(f"({number}) {verdict.message}" for number, verdict in enumerate(verdicts, start=1))
    return StageError(verdicts[0].reason, f"{len(verdicts)} things are to be changed: {messages}")


def _of_sizes(program: PreflightProgram, teacher: Path, student: Path) -> Iterator[StageError]:
    """What config.json and the weights' headers say against the plan."""
    served, trained = read_config(teacher), read_config(student)
    generation = program.generation
    weights = weights_of(teacher)
    parameters = parameters_of(student), count_parameters(weights)
    checks: list[Callable[[], None]] = [
        partial(_check_engine, served, generation),
        partial(check_generation_context, served, generation),
        partial(check_served_heads, served, generation),
        partial(check_served_memory, served, weights, generation),
    ]
    for stage in program.training:
        checks += [
            partial(check_training_context, trained, stage),
            partial(check_trained_heads, trained, stage),
            partial(check_trained_memory, *parameters, stage),
        ]
    for one in checks:
        try:
            one()
        except StageError as error:
            yield error


def _check_engine(served: HuggingFaceConfig, generation: PlannedGeneration) -> None:
    """Raises StageError for a teacher that vLLM doesn't serve, or not on the hardware that is planned."""
    check_served(served)
    if generation.accelerator_gib is not None:
        say(f"On a TPU {tpu_engine(served).known}.")


def _of_prompts(spec: StageSpec, storage: Storage, teacher_model: Path, student_model: Path) -> dict[str, int]:
    """Counts of the prompts. Raises StageError for templates, or for too many prompts that don't pass."""
    program = spec.program
    assert isinstance(program, PreflightProgram)
    generation = program.generation
    teacher = Renderer.load(
        teacher_model, generation.chat_template, generation.chat_template_arguments, "generation.chatTemplate"
    )
    student = Renderer.load(student_model, program.student_chat_template, program.student_chat_template_arguments)
    check_system_prompt(teacher, generation.system_prompt)
    check_system_written(teacher, generation.system_prompt)
    say(str(teacher.reasoning(architectures(read_config(teacher_model)), generation.reasoning)))
    check_reasoning(student.tokenizer, generation)
    check_end(student.tokenizer)
    splits = {split: unchanged_parts(storage, program.dataset, split) for split in ("train", "holdout")}
    totals = {split: count_rows(parts) for split, parts in splits.items()}
    every_turn = any(stage.train_on == "EveryAssistantTurn" for stage in program.training)
    prompts, reporter = Prompts(teacher, student, generation, every_turn), Reporter(spec.stage, "rows")
    for split, parts in splits.items():
        for done in prompts.take(read_rows(parts), totals[split], for_training=split == "train"):
            reporter.progress(done, sum(totals.values()))
    seen = prompts.seen
    for reason, example in seen.examples.items():
        say(f"{seen.rejected[reason]} prompts are left out as {reason.name}, the first is {example}")
    check_shares(seen, generation)
    _check_vocabularies(seen, teacher, teacher_model, student, student_model)
    filled = _check_training(program, seen, student)
    return {
        "read": seen.read,
        "kept": seen.read - seen.rejected.total(),
        **reasons.rejected_counts(seen.rejected),
        **{f"promptFills.{name}": count for name, count in filled.items() if count},
    }


def _check_vocabularies(
    seen: Rendering, teacher: Renderer, teacher_model: Path, student: Renderer, model: Path
) -> None:
    turns = [{"role": "user", "content": "A question?"}]
    asked = str(teacher.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    check_tokens([asked], teacher.tokenizer, vocabulary_size(teacher_model), "the teacher's")
    texts = [row.text for row in seen.with_stand_in[:CHECKED_TEXTS]]
    check_tokens(texts, student.tokenizer, vocabulary_size(model), "the student's")


def _check_training(program: PreflightProgram, seen: Rendering, student: Renderer) -> dict[str, int]:
    """By training stage, how many sampled prompts leave no room for an answer."""
    filled = {}
    if any(stage.data == "OriginalDataset" for stage in program.training):
        check_own_reasoning(seen)
    for stage in program.training:
        fitting = Fitting(stage.max_target_length)
        for row in _learnt_rows(stage, seen):
            fitting.tokenised(row, student.tokenizer)
        # Too few rows are the operator's own verdict, by their counts.
        fitting.require_trained()
        filled[stage.name] = fitting.prompts_too_long
    return filled


def _learnt_rows(stage: PlannedTraining, seen: Rendering) -> list[Rendered]:
    """The sampled rows as that stage learns them: with the dataset's own answers where these are what is learnt."""
    if stage.data == "TeacherCompletions":
        return seen.with_stand_in
    return seen.with_every_turn if stage.train_on == "EveryAssistantTurn" else seen.with_reference
