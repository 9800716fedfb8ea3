"""Lay out on CPU what a training stage reads: its rows rendered, tokenised, masked and packed, in the order of its
steps; see PackProgram.

Left to itself MaxText renders and tokenises all rows on each host while the accelerators wait, renders every turn of a
conversation as one of its own, masks the labels that happen to equal the padding token, and stops early, with exit code
0, when the data is shorter than the steps.
"""

import itertools
import math
import random
import tempfile
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from distillation_api import reasons
from distillation_api.contract import PackProgram, StageResult, StageSpec
from distillation_stages.data.learnt_answers import NOT_COMPARED, Sample
from distillation_stages.data.packing import (
    Manifest,
    Packed,
    one_by_one,
    pack,
    write_manifest,
    write_sequences,
)
from distillation_stages.data.tables import count_rows, parts_of
from distillation_stages.data.token_rows import TokenRows
from distillation_stages.data.training_rows import TrainingRow, parts_to_learn, read_conversations
from distillation_stages.maxtext.trainable_text import RenderedRows
from distillation_stages.maxtext.training_tokens import Fitting
from distillation_stages.models.model_directory import model_of
from distillation_stages.models.rendering import Renderer
from distillation_stages.models.sampled_tokens import vocabulary_hash
from distillation_stages.runtime.environment import set_environment
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.reporting import Reporter, say
from distillation_stages.runtime.storage import Storage, sha256_of

SEED = 0

PADDING = 0
"""Fills sequences up: nothing sees it and nothing learns it, so any token that every model has will do."""


def run(spec: StageSpec, storage: Storage) -> StageResult:
    """Write the sequences and their manifest."""
    program, started = spec.program, time.monotonic()
    assert isinstance(program, PackProgram)
    set_environment()
    model = model_of(storage, program.student)
    renderer = Renderer.load(model, program.chat_template, program.chat_template_arguments)
    work = storage.workspace(spec.output)
    laid_out = lay_out(spec.stage, program, storage, renderer.tokenizer, work / "sequences")
    made_by = {"chatTemplate": renderer.template_hash(), **_tokenizer_hash(model)}
    write_manifest(work / "sequences", {**laid_out.manifest.as_written(), **laid_out.counts, "sha256": made_by})
    output = storage.at(spec.output)
    result = StageResult(
        stage=spec.stage,
        fingerprint=spec.fingerprint,
        outputs={"sequences": storage.relative(work / "sequences")},
        counts=laid_out.counts,
        metrics={"efficiency": round(laid_out.manifest.efficiency, 4)},
        parts={part.relative_to(output).as_posix(): sha256_of(part) for part in parts_of(work / "sequences")},
        seconds=round(time.monotonic() - started, 1),
    )
    return storage.conclude(spec.output, result, work)


@dataclass(frozen=True)
class LaidOut:
    """What was written."""

    manifest: Manifest
    counts: dict[str, int]


def lay_out(stage: str, program: PackProgram, storage: Storage, tokenizer: Any, directory: Path) -> LaidOut:
    """Write the sequences. Raises StageError when nothing could be learnt of them, or they are too few."""
    parts, reporter = parts_to_learn(program.data, storage), Reporter(stage, "rows")
    of_teacher = program.data.kind == "TeacherCompletions"
    vocabulary = vocabulary_hash(tokenizer) if of_teacher else ""
    read = partial(_first, program, partial(read_conversations, program.data, storage, parts, vocabulary))
    total = count_rows(parts)
    conversations = _with_progress(read(), min(total, program.first_rows or total), reporter)
    texts = RenderedRows(tokenizer, conversations, program.data.train_on == "EveryAssistantTurn")
    with tempfile.TemporaryDirectory() as scratch:
        rows, fitting = TokenRows(Path(scratch)), Fitting(program.max_target_length)
        said = array("q")
        for text in texts:
            before, row = fitting.as_sampled, fitting.tokenised(text, tokenizer)
            if row.trained:
                # Of one that fills the length, the end may be missing.
                whole = fitting.as_sampled > before and len(row.tokens) < program.max_target_length
                said.append(text.row if whole else NOT_COMPARED)
                rows.add(row)
        fitting.require_trained()
        sample = Sample()
        sequences = sample.noting(sequences_of(program, rows), said)
        manifest = write_sequences(sequences, program.max_target_length, PADDING, directory)
    steps = steps_of(program, len(rows), manifest)
    compared = sample.compare(directory, read())
    say(
        f"{len(rows)} rows with {fitting.answers} answers in {manifest.sequences} sequences for {steps} steps, "
        f"{manifest.efficiency:.0%} of whose places are trained; {fitting.prompts_too_long} rows have a prompt that "
        f"fills maxTargetLength={program.max_target_length}, {fitting.answers_cut} an answer that is cut there, and "
        f"{fitting.answers_left_out} answers begin beyond it"
    )
    if of_teacher:
        say(
            f"{fitting.as_sampled} answers are learnt in the tokens that the teacher has said, compared in {compared}; "
            f"{fitting.answers - fitting.as_sampled} are spelt by the student's tokenizer"
        )
    counts = {
        "steps": steps,
        "rows": len(rows),
        "answers": fitting.answers,
        **reasons.rejected_counts({reasons.STUDENT_TEMPLATE_REFUSED: texts.refused} if texts.refused else {}),
        "promptTooLong": fitting.prompts_too_long,
        "answerCut": fitting.answers_cut,
        "answersLeftOut": fitting.answers_left_out,
        "sequences": manifest.sequences,
        "tokens": manifest.tokens,
        "trainedTokens": manifest.trained_tokens,
        **({"rowsRead": manifest.rows} if program.first_rows is not None else {}),
        **({"asSampled": fitting.as_sampled, "comparedWithSampled": compared} if of_teacher else {}),
    }
    return LaidOut(manifest, counts)


def _first(program: PackProgram, read: Callable[[], Iterable[TrainingRow]]) -> Iterator[TrainingRow]:
    """The rows, or those that a preview has of them."""
    return itertools.islice(read(), program.first_rows)


def _with_progress(conversations: Iterable[TrainingRow], total: int, reporter: Reporter) -> Iterator[TrainingRow]:
    """The same, told as they go; some of the tables' rows are none of them."""
    for done, conversation in enumerate(conversations):
        reporter.progress(done, total)
        yield conversation
    reporter.progress(total, total)


def sequences_of(program: PackProgram, rows: TokenRows) -> Iterator[Packed]:
    """The sequences of all epochs that the steps read; a preview's few rows are read as often as these need."""
    repeats = program.first_rows is not None and program.steps is not None and len(rows) > 0
    epochs = itertools.count() if repeats else range(program.epochs or 1)
    places = itertools.chain.from_iterable(_of_epoch(program, rows, epoch) for epoch in epochs)
    return itertools.islice(places, None if program.steps is None else program.steps * program.sequences_per_step)


def order(rows: int, epoch: int) -> list[int]:
    """The positions of the rows as an epoch reads them: shuffled, each epoch differently, always alike."""
    positions = list(range(rows))
    random.Random(f"{SEED}-{epoch}").shuffle(positions)
    return positions


def _of_epoch(program: PackProgram, rows: TokenRows, epoch: int) -> Iterator[Packed]:
    shuffled = (rows[position] for position in order(len(rows), epoch))
    return pack(shuffled, program.max_target_length) if program.packing else one_by_one(shuffled)


def steps_of(program: PackProgram, rows: int, manifest: Manifest) -> int:
    """The steps to train. Raises StageError for more than the rows give in the epochs that are allowed."""
    batch, epochs = program.sequences_per_step, program.epochs or 1
    found = manifest.sequences // batch
    if found >= (program.steps or 1):
        return program.steps or found
    packed = "packed, " if program.packing else ""
    had = f"{rows} rows of {program.data.kind} make {manifest.sequences} ({packed}each row read at most {epochs} times)"
    more = max(epochs + 1, math.ceil((program.steps or 1) * batch * epochs / max(manifest.sequences, 1)))
    if not found:
        raise StageError(
            reasons.TOO_FEW_ROWS,
            f"one step reads {batch} sequences (perDeviceBatchSize on all devices, times gradientAccumulationSteps), "
            f"but {had}; lower the batch size, set epochs to {more} or give more rows",
        )
    raise StageError(
        reasons.TOO_FEW_ROWS,
        f"{program.steps} steps of {batch} sequences read {(program.steps or 1) * batch}, but {had}; lower steps to "
        f"{found} or set epochs to {more}",
    )


def _tokenizer_hash(model: Path) -> dict[str, str]:
    files = (model / name for name in ("tokenizer.json", "tokenizer.model"))
    return {file.name: sha256_of(file) for file in files if file.exists()}
