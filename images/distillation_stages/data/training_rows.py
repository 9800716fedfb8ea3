"""The conversations that a training stage learns from, as the stages before have left them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from distillation_api import reasons
from distillation_api.contract import TrainData
from distillation_stages.data.conversations import Answer, Turn, up_to_last_answer
from distillation_stages.data.tables import TOOL_USE, VOCABULARY, Row, batches_of, count_rows, parts_of
from distillation_stages.data.tool_use import restored
from distillation_stages.data.tools import Tool
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage


class TrainingRow(NamedTuple):
    """One conversation."""

    row: int
    """Of the dataset."""
    prompt: list[Turn]
    answer: Answer
    tools: list[Tool] | None = None
    sampled: list[int] | None = None
    """The tokens in which a teacher of the student's vocabulary has said the answer."""


def read_conversations(data: TrainData, storage: Storage, vocabulary: str = "") -> Iterator[TrainingRow]:
    """Every training row, in the order of the source.

    Where every turn is learnt, a conversation whose last user turn has no answer ends with the answer before it.
    ``vocabulary`` is the hash of the student's: tokens of another one are passed over.
    """
    every_turn = data.train_on == "EveryAssistantTurn"
    answer = "reference" if data.kind == "OriginalDataset" else "completion"
    for row in _rows(data, storage, ["row", "prompt", answer, TOOL_USE], vocabulary):
        read = restored(row)
        own = read.reference if data.kind == "OriginalDataset" else row[answer]
        last = (read.prompt, own) if own else None
        found = up_to_last_answer(read.prompt, own) if every_turn else last
        if found is not None:
            yield TrainingRow(row["row"], *found, read.tools, row.get("sampledTokens"))


def rows_at_most(data: TrainData, storage: Storage) -> int:
    """The rows of the tables, with those that teach nothing."""
    return sum(count_rows(parts_of(directory)) for directory in _directories(data, storage))


def _rows(data: TrainData, storage: Storage, columns: list[str], vocabulary: str) -> Iterator[Row]:
    of_teacher = data.kind == "TeacherCompletions"
    for directory in _directories(data, storage):
        for part in parts_of(directory):
            with pq.ParquetFile(part) as file:
                shared = (file.metadata.metadata or {}).get(VOCABULARY.encode(), b"").decode() == vocabulary != ""
                more = [*(["split"] if of_teacher else []), *(["sampledTokens"] if shared else [])]
                for batch in batches_of(file, [*columns, *more]):
                    for row in batch.to_pylist():
                        if not of_teacher or row["split"] == "train":
                            yield row


def _directories(data: TrainData, storage: Storage) -> list[Path]:
    if data.kind == "OriginalDataset":
        if not data.dataset:
            raise StageError(reasons.BAD_TRAIN_DATA, "OriginalDataset needs 'dataset'")
        return [storage.at(storage.require_marker(data.dataset).outputs["train"])]
    if data.train_on == "EveryAssistantTurn":
        raise StageError(reasons.BAD_TRAIN_DATA, "of TeacherCompletions only the last turn is the teacher's")
    if not data.completions or not data.shards:
        raise StageError(reasons.BAD_TRAIN_DATA, "TeacherCompletions needs 'completions' and 'shards'")
    shards = [f"{data.completions}/shard-{index}" for index in range(data.shards)]
    for shard in shards:
        storage.require_marker(shard)
    return [storage.at(shard) for shard in shards]
