"""Generate: the teacher's answers to one shard of the prompts, in chunks that a restart doesn't make again.

A chunk is a fixed range of the shard's rows. Its file is published whole, so what a killed pod leaves behind is whole
chunks, and the next one makes the missing ones. What was rejected in a chunk is counted with it (see ledger): so the
counts of a shard close, however often it was started.
"""

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from distillation_api import reasons
from distillation_api.contract import SCRATCH_MOUNT, GenerateProgram, Sampling, StageResult, StageSpec
from distillation_api.reasons.reason import RowReason
from distillation_stages.data.tables import Row, count_rows, listed_parts, read_rows, split_evenly
from distillation_stages.data.tool_use import restored
from distillation_stages.models.model_directory import model_of
from distillation_stages.programs.generate.ledger import Ledger, Slot, plan
from distillation_stages.programs.generate.teacher import Answer, Question, Teacher
from distillation_stages.programs.generate.vllm_engine import prepare_engine
from distillation_stages.programs.generate.vllm_teacher import VllmTeacher
from distillation_stages.runtime.claim import SECONDS_ALIVE, SECONDS_BETWEEN_BEATS, claimed, end_without_a_word
from distillation_stages.runtime.content import Digests, changed, require_unchanged
from distillation_stages.runtime.driver_log import with_driver_words
from distillation_stages.runtime.environment import set_environment
from distillation_stages.runtime.failure import StageError, stage_failure
from distillation_stages.runtime.measuring import measured
from distillation_stages.runtime.reporting import Reporter, say, termination_log, write_termination_message
from distillation_stages.runtime.start_up import StartUpClock
from distillation_stages.runtime.start_up_record import write_start_up
from distillation_stages.runtime.storage import Storage
from distillation_stages.runtime.watchdog import Watchdog, exit_at_once

INDEX_ENV = "JOB_COMPLETION_INDEX"
SECONDS_TO_HANG = 1800.0
"""Without a step of the engine for so long it hangs; compiling for a TPU takes some ten minutes."""
SECONDS_TO_WAIT = SECONDS_ALIVE + 2 * SECONDS_BETWEEN_BEATS
"""For another writer of the shard: a try costs the Job one of its shard's, so a dead writer's claim is waited out."""
EXAMPLE_LETTERS = 200
WITHOUT_REASONING = "withoutReasoning"
"""Name of the count of kept answers that lack what the teacher's chat template knows of."""


@dataclass(frozen=True)
class Prompts:
    """The prepared rows, train and holdout numbered together."""

    parts: Digests
    rows_of: Mapping[Path, int]
    train_rows: int

    @staticmethod
    def of(storage: Storage, directory: str) -> "Prompts":
        """The rows of a prepare stage's two tables."""
        train, holdout = (listed_parts(storage, directory, split) for split in ("train", "holdout"))
        rows_of = {part: _rows_in(part, directory) for part in (*train, *holdout)}
        return Prompts({**train, **holdout}, rows_of, sum(rows_of[part] for part in train))

    @property
    def rows(self) -> int:
        """Of both."""
        return sum(self.rows_of.values())

    def holding(self, positions: range) -> Digests:
        """The files with the rows at the positions."""
        first, found = 0, {}
        for part, digest in self.parts.items():
            end = first + self.rows_of[part]
            if first < positions.stop and positions.start < end:
                found[part] = digest
            first = end
        return found

    def shard(self, index: int, shards: int, holdout_only: bool) -> range:
        """The positions of a shard's rows."""
        first = self.train_rows if holdout_only else 0
        piece = split_evenly(self.rows - first, shards)[index]
        return range(first + piece.start, first + piece.stop)

    def asked_of(self, program: GenerateProgram, index: int) -> list[range]:
        """The positions of the rows that the shard answers, in one piece or, of a preview, the first of each split."""
        first = program.first_rows
        if first is None:
            return [self.shard(index, program.shards, program.holdout_only)]
        train = range(0 if program.holdout_only else min(first.train, self.train_rows))
        return [train, range(self.train_rows, min(self.train_rows + first.holdout, self.rows))]

    def read(self, positions: range) -> Iterator[tuple[int, Row]]:
        """The rows at the positions, each with its position and its ``split``."""
        for position, row in zip(positions, read_rows(list(self.parts), positions), strict=True):
            yield position, {**row, "split": "train" if position < self.train_rows else "holdout"}


def _rows_in(part: Path, directory: str) -> int:
    try:
        return count_rows([part])
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise changed(directory, part, "it is no whole Parquet file") from error


@dataclass
class Chunk:
    """A chunk on its way."""

    slot: Slot
    fed: bool = False
    """Whether all its rows have been handed out."""
    waiting: dict[int, Row] = field(default_factory=dict)
    """Rows that the teacher is at, by the key of the request."""
    kept: dict[int, Row] = field(default_factory=dict)
    read: int = 0
    """Answers wanted."""
    rejected: Counter[RowReason] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    without_reasoning: set[int] = field(default_factory=set)
    """Keys of the kept answers that lack it."""

    def reject(self, reason: RowReason, row: Row, text: str = "") -> None:
        """Count an answer that is left out."""
        self.rejected[reason] += 1
        self.examples.setdefault(reason.name, f"row {row['row']}: {text[:EXAMPLE_LETTERS]!r}")

    def publish(self, ledger: Ledger) -> None:
        """Write the chunk's file, rows in order, equal answers to one prompt once."""
        seen: set[tuple[int, str]] = set()
        rows, without_reasoning = [], 0
        for key, row in sorted(self.kept.items()):
            mark = (row["row"], row["completion"])
            if mark not in seen:
                seen.add(mark)
                rows.append(row)
                without_reasoning += key in self.without_reasoning
        counts = {"read": self.read, "kept": len(rows)}
        for split in ("train", "holdout"):
            counts[split] = sum(row["split"] == split for row in rows)
        if len(rows) < len(self.kept):
            counts["duplicates"] = len(self.kept) - len(rows)
        if without_reasoning:
            counts[WITHOUT_REASONING] = without_reasoning
        counts |= reasons.rejected_counts(self.rejected)
        ledger.publish(self.slot, rows, counts, self.examples)


class Shard:
    """Hands out the rows of the chunks that are missing, and publishes each chunk when its last answer is in."""

    def __init__(self, slots: list[Slot], ledger: Ledger, prompts: Prompts, sampling: Sampling) -> None:
        self._slots = slots
        self._ledger = ledger
        self._prompts = prompts
        self._sampling = sampling
        self._open: list[Chunk] = []
        self.finished_answers = 0
        """Answers that are kept or rejected."""

    def questions(self) -> Iterator[Question]:
        """What to ask the teacher, in order."""
        sampling = self._sampling
        for slot in self._slots:
            chunk = Chunk(slot)
            self._open.append(chunk)
            for position, row in self._prompts.read(slot.positions):
                asked = restored(row)
                for sample in range(samples_of(row, sampling)):
                    key = position * sampling.samples_per_prompt + sample
                    chunk.read += 1
                    chunk.waiting[key] = {**row, "sample": sample}
                    yield Question(key, row["row"], sample, asked.prompt, asked.tools)
            chunk.fed = True
            self.publish_whole()

    def take(self, answer: Answer) -> None:
        """Put an answer to its row, or count why it is left out."""
        chunk = next(chunk for chunk in self._open if answer.key in chunk.waiting)
        row = chunk.waiting.pop(answer.key)
        self.finished_answers += 1
        if answer.rejected is None:
            if answer.lacks_reasoning:
                chunk.without_reasoning.add(answer.key)
            chunk.kept[answer.key] = {
                **row,
                "completion": answer.text,
                "finishReason": answer.finish_reason,
                "promptTokens": answer.prompt_tokens,
                "completionTokens": answer.tokens,
                "sampledTokens": answer.sampled,
            }
        else:
            chunk.reject(answer.rejected, row, answer.text)
        self.publish_whole()

    def publish_whole(self) -> None:
        """Publish the chunks that wait for nothing any more."""
        for chunk in [chunk for chunk in self._open if chunk.fed and not chunk.waiting]:
            chunk.publish(self._ledger)
            self._open.remove(chunk)


def run(spec: StageSpec, storage: Storage) -> StageResult:
    """Make this pod's shard; see GenerateProgram."""
    assert isinstance(spec.program, GenerateProgram)
    clock = StartUpClock()
    with clock.attached_to_failures():
        return _run(spec, spec.program, storage, clock)


def _run(spec: StageSpec, program: GenerateProgram, storage: Storage, clock: StartUpClock) -> StageResult:
    index = shard_index(program.shards)
    directory = f"{spec.output}/shard-{index}"
    finished = storage.finished(directory, spec.work)
    if finished is not None:
        return finished
    # Chunks and ledger have names that all writers of the shard share.
    with claimed(storage.at(directory), lost=end_without_a_word, patience=SECONDS_TO_WAIT):
        # Another job may have ended it since it was looked for.
        finished = storage.finished(directory, spec.work)
        if finished is not None:
            return finished
        with tempfile.TemporaryDirectory(prefix="generate-", dir=os.environ.get("SCRATCH", SCRATCH_MOUNT)) as scratch:
            return _make(spec, program, storage, index, Path(scratch), clock)


def _make(
    spec: StageSpec, program: GenerateProgram, storage: Storage, index: int, scratch: Path, clock: StartUpClock
) -> StageResult:
    started, directory = time.monotonic(), f"{spec.output}/shard-{index}"
    set_environment()
    model = model_of(storage, program.model)
    prompts = Prompts.of(storage, program.dataset)
    pieces = prompts.asked_of(program, index)
    for positions in pieces:
        require_unchanged(program.dataset, prompts.holding(positions), whole=False)
    slots = plan(storage.at(directory), pieces, program.chunk_rows)
    ledger = Ledger.open(storage.at(directory), slots)
    missing = [slot for slot in slots if ledger.entry(slot) is None]
    wanted = wanted_answers(slots, prompts, program.sampling)
    check_losses(ledger, wanted, program.max_lost_share)
    # Of a preview that was killed after its last chunk: the ledger knows no times.
    metrics = measured(0, None).metrics() if program.first_rows is not None and not missing else {}
    if missing:
        log = prepare_engine(model, storage, scratch, clock)
    teacher = teacher_of(program, model, missing[0].positions.start if missing else 0)
    ledger.vocabulary = teacher.vocabulary
    if missing:
        teacher.load()
        log.tell(clock)
        say(f"the teacher is loaded {time.monotonic() - started:.1f} s after the start")
        metrics = generate(spec, teacher, Shard(missing, ledger, prompts, program.sampling), ledger, wanted, clock)
    ledger.write()
    warn_of_missing_reasoning(ledger.counts(), program.reasoning)
    result = StageResult(
        stage=spec.stage,
        fingerprint=spec.fingerprint,
        outputs={"completions": directory, "ledger": storage.relative(ledger.path)},
        counts=ledger.counts(),
        metrics=metrics,
        parts={f"shard-{index}/{name}": digest for name, digest in ledger.digests().items()},
        versions=dict(teacher.versions),
        seconds=round(time.monotonic() - started, 1),
    )
    if missing:
        result = result.model_copy(update={"start_up": clock.read()})
        write_start_up(storage.at(directory), clock.read())
    storage.write_marker(directory, result)
    return result


def teacher_of(program: GenerateProgram, model: Path, first_position: int) -> Teacher:
    """The teacher that is asked for. ``first_position``: of the rows that this start answers."""
    return VllmTeacher(model, program, first_position)


def generate(
    spec: StageSpec, teacher: Teacher, shard: Shard, ledger: Ledger, wanted: int, clock: StartUpClock
) -> dict[str, float]:
    """Publish the shard's missing chunks; returns metrics of this run. Raises StageError for too many lost rows."""
    assert isinstance(spec.program, GenerateProgram)
    reporter = Reporter(spec.stage, "rows", clock)
    before = ledger.counts()["read"]
    reporter.progress(before, wanted)
    started, tokens, metrics = time.monotonic(), 0, dict[str, float]()
    with Watchdog(SECONDS_TO_HANG, lambda: _give_up(spec.stage)).watching() as watchdog:
        lost = ledger.lost

        def beat() -> None:
            # A step of the engine is a token of each request that it is at.
            clock.first()
            watchdog.beat()

        for answer in teacher.answers(shard.questions(), beat):
            shard.take(answer)
            # Besides taking an answer, handing out rows publishes chunks: those whose last rows are refused.
            if ledger.lost > lost:
                check_losses(ledger, wanted, spec.program.max_lost_share)
                lost = ledger.lost
            tokens += answer.tokens
            metrics = {"tokensPerSecond": round(tokens / (time.monotonic() - started), 2)}
            reporter.progress(before + shard.finished_answers, wanted, metrics)
    shard.publish_whole()
    check_losses(ledger, wanted, spec.program.max_lost_share)
    reporter.progress(wanted, wanted, metrics)
    if spec.program.first_rows is not None:
        done = shard.finished_answers
        metrics |= measured(done, (time.monotonic() - started) / done if done else None).metrics()
    return metrics


def _give_up(stage: str) -> None:
    message = f"vLLM has made no step for {SECONDS_TO_HANG / 60:.0f} minutes; the next pod goes on after the last chunk"
    say(message)
    told = with_driver_words(reasons.ENGINE_HANGS, message)
    write_termination_message(stage_failure(stage, reasons.ENGINE_HANGS, told), termination_log())
    sys.stdout.flush()
    exit_at_once(reasons.ENGINE_HANGS.exit_code)


def warn_of_missing_reasoning(counts: dict[str, int], policy: str) -> None:
    """Warn in the log when a teacher that was to reason never has: then its marks may be others than was thought."""
    if policy == "StripClosed" and counts["kept"] and counts.get(WITHOUT_REASONING, 0) == counts["kept"]:
        say(
            f"WARNING: none of the {counts['kept']} answers has reasoning, though the teacher's chat template knows of "
            "it. Read some: if they reason in other words, it would be learnt as part of the answer; set "
            "generation.reasoning to RequireClosed to have such answers rejected. If the teacher isn't to reason, this "
            "is as it should be"
        )


def shard_index(shards: int) -> int:
    """The index that Kubernetes gave this pod of an Indexed Job. Raises StageError."""
    text = os.environ.get(INDEX_ENV, "")
    if not text.isdecimal() or int(text) >= shards:
        raise StageError(
            reasons.BAD_SHARD_INDEX,
            f"{INDEX_ENV} is {text!r}; an Indexed Job sets it to a number from 0 to {shards - 1}",
        )
    return int(text)


def check_losses(ledger: Ledger, wanted: int, most: float) -> None:
    """Raises StageError as soon as a greater share than ``most`` of the shard's answers is certainly lost."""
    if not wanted or ledger.lost <= most * wanted:
        return
    causes = reasons.rejections(ledger.counts())
    reason = max(causes, key=lambda cause: causes[cause])
    told = ", ".join(f"{number} {cause}" for cause, number in sorted(causes.items(), key=lambda item: -item[1]))
    raise StageError(
        reasons.TOO_MANY_ROWS_LOST,
        f"{ledger.lost} of {wanted} answers of this shard are lost, generation.maxLostShare allows {most:.0%}: {told}. "
        f"Examples stand in {ledger.path.parent.name}/{ledger.path.name} of the stage's output{_hint(reason)}",
    )


def _hint(reason: str) -> str:
    hints = {
        reasons.TOOL_CALLS.name: ". Give a template that renders tools in generation.chatTemplate",
        reasons.TRUNCATED.name: ". Raise sampling.maxTokens, or set keepTruncated",
        reasons.PROMPT_TOO_LONG.name: ". Raise generation.maxModelLen or lower sampling.maxTokens",
        reasons.OPEN_REASONING.name: ". Raise sampling.maxTokens, so that the reasoning ends",
        reasons.NO_REASONING.name: ". Set generation.reasoning to StripClosed for a teacher that doesn't reason",
    }
    return hints.get(reason, "")


def wanted_answers(slots: list[Slot], prompts: Prompts, sampling: Sampling) -> int:
    """How many answers the shard is asked for."""
    positions = [slot.positions for slot in slots]
    train = sum(max(0, min(rows.stop, prompts.train_rows) - rows.start) for rows in positions)
    return train * sampling.samples_per_prompt + sum(map(len, positions)) - train


def samples_of(row: Row, sampling: Sampling) -> int:
    """Answers to ask for. Holdout rows get one: a second one would only weigh them more in the evaluation."""
    return sampling.samples_per_prompt if row["split"] == "train" else 1
