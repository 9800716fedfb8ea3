"""Generate: the teacher's answers to one shard of the prompts, in chunks that a restart doesn't make again.

A chunk is a fixed range of the shard's rows. Its file is published whole, so what a killed pod leaves behind is whole
chunks, and the next one makes the missing ones. What was rejected in a chunk is counted in the file's own metadata:
so the counts of a shard close, however often it was started.
"""

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from distillation_operator.api.contract import GenerateProgram, Sampling, StageResult, StageSpec
from distillation_stages.environment import set_environment
from distillation_stages.failure import BadConfiguration
from distillation_stages.rendering import Renderer
from distillation_stages.reporting import Reporter, say
from distillation_stages.storage import Storage, sha256_of
from distillation_stages.tables import (
    COMPLETIONS,
    Row,
    count_rows,
    parts_of,
    read_rows,
    split_evenly,
    write_table,
)
from distillation_stages.teacher import REFUSED, Answer, Request, Teacher

INDEX_ENV = "JOB_COMPLETION_INDEX"

COUNTS = b"counts"
"""Key in a chunk's Parquet metadata: its counts as JSON."""


@dataclass(frozen=True)
class Prompts:
    """The prepared rows, train and holdout numbered together."""

    parts: list[Path]
    train_rows: int
    rows: int

    @staticmethod
    def at(train: Path, holdout: Path) -> "Prompts":
        """The rows of a prepare stage's two directories."""
        train_parts, holdout_parts = parts_of(train), parts_of(holdout)
        train_rows = count_rows(train_parts)
        return Prompts([*train_parts, *holdout_parts], train_rows, train_rows + count_rows(holdout_parts))

    def read(self, positions: range) -> Iterator[tuple[int, Row]]:
        """The rows at the positions, each with its position and its ``split``."""
        for position, row in zip(positions, read_rows(self.parts, positions), strict=True):
            yield position, {**row, "split": "train" if position < self.train_rows else "holdout"}


@dataclass
class Chunk:
    """A chunk on its way."""

    path: Path
    positions: range
    fed: bool = False
    """Whether all its rows have been handed out."""
    waiting: dict[int, Row] = field(default_factory=dict)
    """Rows that the teacher is at, by position."""
    kept: dict[int, Row] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)

    def take(self, answer: Answer, keep_truncated: bool) -> None:
        """Put an answer to its row, or count why it is left out."""
        row = self.waiting.pop(answer.key)
        text = without_reasoning(answer.text)
        reason = refusal(answer, text, keep_truncated)
        if reason is not None:
            self.rejected[reason] += 1
            return
        self.kept[answer.key] = {
            **row,
            "completion": text,
            "finishReason": answer.finish_reason,
            "completionTokens": answer.tokens,
        }

    def publish(self) -> None:
        """Write the chunk's file, rows in order."""
        counts = {"read": len(self.positions), "kept": len(self.kept)}
        counts |= {f"rejected.{reason}": number for reason, number in sorted(self.rejected.items())}
        rows = [self.kept[position] for position in sorted(self.kept)]
        write_table(self.path, COMPLETIONS, rows, {COUNTS.decode(): json.dumps(counts)})


class Shard:
    """Hands out the rows of the chunks that are missing, and publishes each chunk when its last answer is in."""

    def __init__(self, chunks: Iterable[Chunk], prompts: Prompts, renderer: Renderer, program: GenerateProgram) -> None:
        self._chunks = list(chunks)
        self._prompts = prompts
        self._renderer = renderer
        self._program = program
        self._open: list[Chunk] = []
        self.rows = sum(len(chunk.positions) for chunk in self._chunks)
        self.settled = 0
        """Rows that are kept or rejected."""

    def requests(self) -> Iterator[Request]:
        """What to ask the teacher, in order; rows that can't be asked are counted on the way."""
        limit = self._program.max_model_len - self._program.sampling.max_tokens
        for chunk in self._chunks:
            self._open.append(chunk)
            for position, row in self._prompts.read(chunk.positions):
                token_ids = self._render(row)
                if token_ids is not None and len(token_ids) <= limit:
                    chunk.waiting[position] = {**row, "promptTokens": len(token_ids)}
                    yield Request(position, token_ids, row_seed(self._program.sampling, row["row"]))
                else:
                    chunk.rejected["TemplateRefused" if token_ids is None else "PromptTooLong"] += 1
                    self.settled += 1
            chunk.fed = True

    def take(self, answer: Answer) -> None:
        """Sort in one answer."""
        chunk = next(chunk for chunk in self._open if answer.key in chunk.waiting)
        chunk.take(answer, self._program.sampling.keep_truncated)
        self.settled += 1
        self.publish_whole()

    def publish_whole(self) -> None:
        """Publish the chunks that wait for nothing any more."""
        for chunk in [chunk for chunk in self._open if chunk.fed and not chunk.waiting]:
            chunk.publish()
            self._open.remove(chunk)

    def _render(self, row: Row) -> list[int] | None:
        try:
            return self._renderer.prompt_ids(row["prompt"])
        except Exception as error:
            # Templates raise errors of many kinds, about one conversation: the others must go on.
            say(f"the chat template refuses row {row['row']}: {error}")
            return None


def run(spec: StageSpec, storage: Storage) -> StageResult:
    """Make this pod's shard; see GenerateProgram."""
    assert isinstance(spec.program, GenerateProgram)
    program = spec.program
    started = time.monotonic()
    index = shard_index(program.shards)
    directory = f"{spec.output}/shard-{index}"
    finished = storage.finished(directory)
    if finished is not None:
        return finished
    check_lengths(program)
    set_environment()
    model = storage.at(storage.require_marker(program.model).outputs["model"])
    prepared = storage.require_marker(program.dataset).outputs
    prompts = Prompts.at(storage.at(prepared["train"]), storage.at(prepared["holdout"]))
    renderer = Renderer.load(model)
    chunks = plan(storage.at(directory), split_evenly(prompts.rows, program.shards)[index], program.chunk_rows)
    missing = [chunk for chunk in chunks if read_counts(chunk) is None]
    metrics, versions = {}, {"chatTemplate": renderer.template_hash()}
    if missing:
        teacher = Teacher(model, program, engine_seed(program.sampling, missing[0].positions.start))
        say(f"the teacher is loaded {time.monotonic() - started:.1f} s after the start")
        reporter = Reporter(spec.stage, "rows")
        metrics = generate(teacher, Shard(missing, prompts, renderer, program), chunks, reporter)
        versions |= teacher.versions
    counts = Counter({"read": 0, "kept": 0})
    for chunk in chunks:
        counts.update(read_counts(chunk))
    result = StageResult(
        stage=spec.stage,
        fingerprint=spec.fingerprint,
        outputs={"completions": directory},
        counts=dict(counts),
        metrics=metrics,
        parts={f"shard-{index}/{chunk.path.name}": sha256_of(chunk.path) for chunk in chunks},
        versions=versions,
        seconds=round(time.monotonic() - started, 1),
    )
    storage.write_marker(directory, result)
    return result


def generate(teacher: Teacher, shard: Shard, chunks: list[Chunk], reporter: Reporter) -> dict[str, float]:
    """Publish the shard's missing chunks; returns metrics of this run."""
    total = sum(len(chunk.positions) for chunk in chunks)
    before = total - shard.rows
    reporter.progress(before, total)
    started, tokens, metrics = time.monotonic(), 0, dict[str, float]()
    for answer in teacher.answers(shard.requests()):
        shard.take(answer)
        tokens += answer.tokens
        metrics = {"tokensPerSecond": round(tokens / (time.monotonic() - started), 2)}
        reporter.progress(before + shard.settled, total, metrics)
    shard.publish_whole()
    reporter.progress(total, total, metrics)
    return metrics


def shard_index(shards: int) -> int:
    """The index that Kubernetes gave this pod of an Indexed Job. Raises BadConfiguration."""
    text = os.environ.get(INDEX_ENV, "")
    if not text.isdecimal() or int(text) >= shards:
        raise BadConfiguration(
            "BadShardIndex", f"{INDEX_ENV} is {text!r}; an Indexed Job sets it to a number from 0 to {shards - 1}"
        )
    return int(text)


def check_lengths(program: GenerateProgram) -> None:
    """Raises BadConfiguration when no prompt could fit beside the answer."""
    if program.max_model_len <= program.sampling.max_tokens:
        raise BadConfiguration(
            "NoRoomForPrompts",
            f"maxModelLen {program.max_model_len} must exceed sampling.maxTokens {program.sampling.max_tokens}: "
            "both the prompt and the answer count",
        )


def plan(directory: Path, positions: range, chunk_rows: int) -> list[Chunk]:
    """The shard's chunks: the same ones at every start."""
    starts = range(positions.start, positions.stop, chunk_rows)
    return [
        Chunk(directory / f"chunk-{number:05d}.parquet", range(start, min(start + chunk_rows, positions.stop)))
        for number, start in enumerate(starts)
    ]


def read_counts(chunk: Chunk) -> dict[str, int] | None:
    """The counts of a chunk that was published; None when it wasn't, or isn't what would be published now."""
    try:
        metadata = pq.read_metadata(chunk.path).metadata or {}
        counts: dict[str, int] = json.loads(metadata[COUNTS])
    except (FileNotFoundError, KeyError, ValueError, pa.ArrowException):
        return None
    return counts if counts.get("read") == len(chunk.positions) else None


def row_seed(sampling: Sampling, row: int) -> int:
    """The seed of a row's request: the same wherever and whenever the row is generated. 31 bits."""
    return _hashed(sampling.seed, row)


def engine_seed(sampling: Sampling, first_position: int) -> int:
    """The engine's seed, where requests have none of their own: shards, and starts of one shard, must differ."""
    return _hashed(sampling.seed, -1 - first_position)


def without_reasoning(text: str) -> str | None:
    """The answer without the reasoning before it; None when the reasoning doesn't end.

    The opening tag may stand in the template's generation prompt instead of the answer.
    """
    _, tag, after = text.rpartition("</think>")
    if tag:
        return after.strip()
    return None if "<think>" in text else text.strip()


def refusal(answer: Answer, text: str | None, keep_truncated: bool) -> str | None:
    """Why an answer isn't used; None when it is."""
    if answer.finish_reason == REFUSED:
        return REFUSED
    if text is None:
        return "OpenReasoning"
    if answer.finish_reason == "length" and not keep_truncated:
        return "Truncated"
    if answer.finish_reason not in ("stop", "length"):
        return "EngineAborted"
    return None if text else "Empty"


def _hashed(seed: int, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4]) >> 1
