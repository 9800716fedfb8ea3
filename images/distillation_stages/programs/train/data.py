"""The rows that a training run reads, in the order and to the length that its steps need.

Left to itself MaxText stops early, with exit code 0, when the data is shorter than the steps; reads from the first row
again after a restart; renders every turn of a conversation as one of its own; and trains on nothing when prompts fill
the length. So the conversations are rendered by the student's chat template, checked, and laid out here as one file per
host that holds exactly what that host will read, from the step on at which it (re)starts.
"""

import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from distillation_api import reasons
from distillation_api.contract import TrainData
from distillation_stages.data.conversations import Answer, Turn, up_to_last_answer
from distillation_stages.data.tables import TOOL_USE
from distillation_stages.data.tool_use import restored
from distillation_stages.data.tools import Tool
from distillation_stages.maxtext.trainable_text import Rendered
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage

SEED = 0


def read_conversations(
    data: TrainData, storage: Storage
) -> Iterator[tuple[int, list[Turn], Answer, list[Tool] | None]]:
    """Row number, prompt, answer and tools of every training row, in the order of the source.

    Where every turn is learnt, a conversation whose last user turn has no answer ends with the answer before it.
    """
    import pyarrow.parquet as pq

    every_turn = data.train_on == "EveryAssistantTurn"
    if data.kind == "OriginalDataset":
        if not data.dataset:
            raise StageError(reasons.BAD_TRAIN_DATA, "OriginalDataset needs 'dataset'")
        directories = [storage.at(storage.require_marker(data.dataset).outputs["train"])]
        answer, split = "reference", None
    else:
        if every_turn:
            raise StageError(reasons.BAD_TRAIN_DATA, "of TeacherCompletions only the last turn is the teacher's")
        if not data.completions or not data.shards:
            raise StageError(reasons.BAD_TRAIN_DATA, "TeacherCompletions needs 'completions' and 'shards'")
        shards = [f"{data.completions}/shard-{index}" for index in range(data.shards)]
        for shard in shards:
            storage.require_marker(shard)
        directories = [storage.at(shard) for shard in shards]
        answer, split = "completion", "train"
    for directory in directories:
        for part in sorted(directory.glob("*.parquet")):
            with pq.ParquetFile(part) as file:
                columns = ["row", "prompt", answer, TOOL_USE, *(["split"] if split else [])]
                for batch in file.iter_batches(batch_size=256, columns=columns):
                    for row in batch.to_pylist():
                        if split is not None and row["split"] != split:
                            continue
                        read = restored(row)
                        own = row[answer] if split is not None else read.reference
                        if every_turn:
                            found = up_to_last_answer(read.prompt, own)
                        else:
                            found = (read.prompt, own) if own else None
                        if found is not None:
                            yield row["row"], *found, read.tools


def rows_of_step(batch: int, packing: bool, max_target_length: int, tokens_per_row: float) -> float:
    """How many rows one step reads: packed, a row of the batch holds several."""
    return batch * max(1.0, max_target_length / tokens_per_row) if packing else float(batch)


def steps_of_epochs(epochs: int, rows: int, rows_per_step: float) -> int:
    """The steps in which ``rows`` rows are read ``epochs`` times; what is left of a step is not."""
    return max(1, int(epochs * rows / rows_per_step))


def rows_needed(steps: int, batch: int, packing: bool, rows_per_step: float) -> int:
    """How many rows ``steps`` steps read, in whole batches. Packed, a twentieth and a batch more cover that the mean
    is of a sample."""
    rows = steps * rows_per_step
    if packing:
        rows = rows * 1.05 + batch
    return math.ceil(rows / batch) * batch


def order(total: int, skip: int, count: int) -> Iterator[int]:
    """``count`` row positions from the ``skip``-th on, of an endless sequence of epochs, each shuffled differently.

    The same on every host and after every restart.
    """
    epoch, position = divmod(skip, total)
    given = 0
    while given < count:
        positions = list(range(total))
        random.Random(f"{SEED}-{epoch}").shuffle(positions)
        for index in positions[position:]:
            if given == count:
                return
            yield index
            given += 1
        epoch, position = epoch + 1, 0


def write_parts(rows: Sequence[Rendered], positions: Iterator[int], hosts: int, per_host: int, directory: Path) -> None:
    """Write the rows as one part per host: host h reads part h, and of every global batch it gets the h-th slice."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    turn = pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())])
    schema = pa.schema([pa.field("messages", pa.list_(turn))])
    directory.mkdir(parents=True, exist_ok=True)
    writers = [pq.ParquetWriter(directory / f"part-{host:05d}.parquet", schema) for host in range(hosts)]
    slices: list[list[dict[str, object]]] = [[] for _ in writers]
    for number, position in enumerate(positions):
        row = rows[position]
        # MaxText learns what an assistant says, and joins the texts as they stand.
        messages = [
            {"role": role, "content": content}
            for exchange in row.exchanges
            for role, content in (("user", exchange.given), ("assistant", exchange.answer))
        ]
        host = number // per_host % hosts
        slices[host].append({"messages": messages})
        if len(slices[host]) == 1024:
            writers[host].write_table(pa.Table.from_pylist(slices[host], schema=schema))
            slices[host].clear()
    for writer, rest in zip(writers, slices, strict=True):
        if rest:
            writer.write_table(pa.Table.from_pylist(rest, schema=schema))
        writer.close()
