"""The rows that a training run reads, in the order and to the length that its steps need.

Left to itself MaxText stops early, with exit code 0, when the data is shorter than the steps; reads from the first row
again after a restart; renders every turn of a conversation as one of its own; and trains on nothing when prompts fill
the length. So the conversations are rendered here, by the student's chat template, checked, and laid out as one file
per host that holds exactly what that host will read, from the step on at which it (re)starts.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillation_api import reasons
from distillation_api.contract import TrainData
from distillation_stages.maxtext.training_tokenizer import padding_token
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.storage import Storage

CHECKED_ROWS = 2_000
"""Rows that are tokenised before training, evenly spread; tokenising millions would keep accelerators waiting."""

ENDINGS_READ = 50
"""A template ends all answers alike."""

SEED = 0


@dataclass(frozen=True)
class Rendered:
    """One conversation as the student's template renders it."""

    row: int
    prompt: str
    completion: str


@dataclass(frozen=True)
class Checked:
    """What the tokenised rows say about the data."""

    rows: int
    prompts_too_long: int
    """Rows whose prompt leaves no room for an answer: they train nothing."""
    truncated: int
    tokens_per_row: float
    trainable_tokens: int


def read_conversations(data: TrainData, storage: Storage) -> Iterator[tuple[int, list[dict[str, str]], str]]:
    """Row number, prompt and answer of every training row, in the order of the source."""
    import pyarrow.parquet as pq

    if data.kind == "OriginalDataset":
        if not data.dataset:
            raise StageError(reasons.BAD_TRAIN_DATA, "OriginalDataset needs 'dataset'")
        directories = [storage.at(storage.require_marker(data.dataset).outputs["train"])]
        answer, split = "reference", None
    else:
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
                columns = ["row", "prompt", answer, *(["split"] if split else [])]
                for batch in file.iter_batches(batch_size=256, columns=columns):
                    for row in batch.to_pylist():
                        if row[answer] and (split is None or row["split"] == split):
                            yield row["row"], row["prompt"], row[answer]


def render(tokenizer: Any, row: int, prompt: list[dict[str, str]], answer: str) -> Rendered:
    """The conversation as text: what is given, and what is to be learnt."""
    try:
        given = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
        whole = tokenizer.apply_chat_template(
            [*prompt, {"role": "assistant", "content": answer}], add_generation_prompt=False, tokenize=False
        )
    except Exception as error:  # Templates are programs of the model's author: they raise whatever they like.
        raise StageError(reasons.CHAT_TEMPLATE_REFUSES, f"the chat template refuses row {row}: {error}") from error
    if not whole.startswith(given):
        # Templates that open a thinking block for generation: the answer starts where the two part.
        common = next((i for i, (a, b) in enumerate(zip(given, whole, strict=False)) if a != b), len(given))
        given = given[:common]
    if not given or len(whole) == len(given):
        raise StageError(reasons.CHAT_TEMPLATE_REFUSES, f"the chat template renders no answer for row {row}")
    return Rendered(row, given, whole[len(given) :])


def sample_of(rows: Sequence[Rendered]) -> Sequence[Rendered]:
    """The rows that are tokenised before training."""
    return rows[:: max(1, len(rows) // CHECKED_ROWS)]


def end_of(answer: Sequence[int], tokenizer: Any) -> int | None:
    """The special token that ends a tokenised answer; None when it has none."""
    special = set(tokenizer.all_special_ids)
    return next((token for token in reversed(answer) if token in special), None)


def endings(rows: Sequence[Rendered], tokenizer: Any) -> set[int]:
    """The tokens that end the answers: what a student must learn to stop."""
    ends = (end_of(tokenizer(row.completion)["input_ids"], tokenizer) for row in sample_of(rows)[:ENDINGS_READ])
    return {end for end in ends if end is not None}


def check(rows: Sequence[Rendered], tokenizer: Any, max_target_length: int) -> Checked:
    """Tokenise a sample of the rows as MaxText will. Raises StageError when nothing, or no end, could be learnt."""
    pad = padding_token(tokenizer)
    masked = {pad, tokenizer.bos_token_id}
    sample = sample_of(rows)
    too_long = truncated = tokens = trainable = 0
    for row in sample:
        given = len(tokenizer(row.prompt)["input_ids"])
        answer = tokenizer(row.completion)["input_ids"]
        end = end_of(answer, tokenizer)
        if end is not None and end in masked:
            what = "pads with it" if end == pad else "masks the labels of bos"
            raise StageError(
                reasons.PAD_IS_EOS if end == pad else reasons.BOS_IS_EOS,
                f"row {row.row} ends its answer with token {end} ({tokenizer.decode([end])!r}), but training {what}: "
                "the student would never learn to stop. Set another pad_token (or bos_token) in tokenizer_config.json",
            )
        length = min(given + len(answer), max_target_length)
        tokens += length
        too_long += given >= max_target_length
        truncated += given < max_target_length < given + len(answer)
        trainable += sum(token not in masked for token in answer[: max(0, max_target_length - given)])
    if not trainable:
        raise StageError(
            reasons.NO_TRAINABLE_TOKENS,
            f"in all {len(sample)} rows checked the prompt alone fills maxTargetLength={max_target_length}; raise it",
        )
    return Checked(len(sample), too_long, truncated, tokens / len(sample), trainable)


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
        messages = [{"role": "user", "content": row.prompt}, {"role": "assistant", "content": row.completion}]
        host = number // per_host % hosts
        slices[host].append({"messages": messages})
        if len(slices[host]) == 1024:
            writers[host].write_table(pa.Table.from_pylist(slices[host], schema=schema))
            slices[host].clear()
    for writer, rest in zip(writers, slices, strict=True):
        if rest:
            writer.write_table(pa.Table.from_pylist(rest, schema=schema))
        writer.close()
