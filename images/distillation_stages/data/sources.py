"""Rows of a dataset as they lie: JSONL or Parquet files in the storage or a bucket, or a dataset on the Hub.

Everything streams: a dataset may be larger than the pod's memory.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from distillation_api import reasons
from distillation_api.contract import HuggingFaceRepo, Source
from distillation_stages.data.formats import hint
from distillation_stages.data.tables import ROWS_PER_BATCH
from distillation_stages.runtime.failure import RowRejected, StageError
from distillation_stages.runtime.storage import Storage
from distillation_stages.services import hub
from distillation_stages.services.buckets import GcsTree, Tree

LINE_SUFFIXES = (".jsonl", ".ndjson")
SUFFIXES = (*LINE_SUFFIXES, ".parquet")
DEFAULT_SPLIT = "train"

ROWS_TO_LEARN_COLUMNS = 100
"""JSON lines have no schema: a column that none of the first rows has is taken for missing."""

SourceRow = dict[str, object] | RowRejected
"""A row's columns, or why the row can't even be read."""


@dataclass
class Dataset:
    """A dataset's rows, in an order that is the same every time."""

    name: str
    """For messages."""
    rows: Iterable[SourceRow]
    total: int | None
    """Number of rows; None when the source doesn't say."""
    versions: dict[str, str] = field(default_factory=dict)


def open_dataset(source: Source, columns: list[str], storage: Storage, scratch: Path) -> Dataset:
    """The dataset, seen to have the columns. ``scratch`` takes a local copy of a bucket's files.

    Raises StageError when there is no such dataset, a column is missing, or it can't be reached.
    """
    if source.hugging_face is not None:
        dataset = _from_hub(source.hugging_face)
    elif source.gcs_uri is not None:
        dataset = _from_files(_copied(source.gcs_uri, scratch), source.gcs_uri)
    elif source.path is not None:
        dataset = _from_files(_data_files(storage.at(source.path), source.path), source.path)
    else:
        raise StageError(reasons.NO_SOURCE, "the dataset's source is empty: give huggingFace, gcs or path")
    dataset.rows = _with_columns(dataset, columns)
    return dataset


def _with_columns(dataset: Dataset, columns: list[str]) -> Iterator[SourceRow]:
    rows = iter(dataset.rows)
    first = list(itertools.islice(rows, ROWS_TO_LEARN_COLUMNS))
    found = sorted({name for row in first if isinstance(row, dict) for name in row})
    missing = [name for name in columns if name not in found]
    # Without a readable row there is nothing to compare with; the rows themselves are then rejected.
    if found and missing:
        told = f"dataset {dataset.name} has no column {', '.join(map(repr, missing))}; its columns: {', '.join(found)}"
        nearest = hint([row for row in first if isinstance(row, dict)], columns)
        raise StageError(reasons.MISSING_COLUMN, ". ".join(filter(None, [told, nearest])))
    return itertools.chain(first, rows)


def _data_files(path: Path, name: str) -> list[Path]:
    if path.is_file():
        files = [path]
    elif path.is_dir():
        files = sorted(file for file in path.rglob("*") if _is_data(file.relative_to(path).as_posix()))
    else:
        raise StageError(reasons.DATASET_NOT_FOUND, f"there is no dataset at {name!r} in the storage")
    if not files or not all(file.name.endswith(SUFFIXES) for file in files):
        _no_files(name)
    return files


def _copied(uri: str, scratch: Path) -> list[Path]:
    """Local copies of a bucket's data files; the URI names one file or the folder of several."""
    if uri.endswith(SUFFIXES):
        folder, _, name = uri.rpartition("/")
        tree: Tree = GcsTree(folder)
        names = [name]
    else:
        tree = GcsTree(uri)
        names = sorted(name for name in tree.sizes() if _is_data(name))
    if not names:
        _no_files(uri)
    for name in names:
        tree.get(name, scratch / name)
    return [scratch / name for name in names]


def _is_data(name: str) -> bool:
    hidden = any(part.startswith((".", "_")) for part in name.split("/"))
    return name.endswith(SUFFIXES) and not hidden


def _no_files(name: str) -> NoReturn:
    raise StageError(
        reasons.NO_DATA_FILES, f"dataset {name} holds no {', '.join(SUFFIXES)} file; give such a file or its folder"
    )


def _from_files(files: list[Path], name: str) -> Dataset:
    try:
        total = sum(_count(path) for path in files)
    except pa.ArrowException as error:
        raise StageError(reasons.UNREADABLE_DATASET, f"dataset {name} has a broken Parquet file: {error}") from error
    return Dataset(name, itertools.chain.from_iterable(map(_rows, files)), total)


def _count(path: Path) -> int:
    if path.suffix == ".parquet":
        return int(pq.read_metadata(path).num_rows)
    with path.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _rows(path: Path) -> Iterator[SourceRow]:
    return _parquet_rows(path) if path.suffix == ".parquet" else _lines(path)


def _parquet_rows(path: Path) -> Iterator[SourceRow]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROWS_PER_BATCH):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise StageError(reasons.UNREADABLE_DATASET, f"{path.name} is no whole Parquet file: {error}") from error


def _lines(path: Path) -> Iterator[SourceRow]:
    """The rows of a JSONL file. Blank lines are no rows."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines):
            # A byte-order mark is what some editors put before the first line.
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line
            if text.strip():
                yield _parse(text)


def _parse(line: bytes) -> SourceRow:
    try:
        # With NaN, which is no JSON but what pandas writes: in a column that nobody reads it does no harm.
        row = json.loads(line.decode())
    except (ValueError, RecursionError):
        return RowRejected(reasons.BROKEN_JSON)
    return row if isinstance(row, dict) else RowRejected(reasons.NOT_AN_OBJECT)


def _from_hub(source: HuggingFaceRepo) -> Dataset:
    """The dataset's split, streamed at one commit."""
    import datasets
    from huggingface_hub import HfApi

    split = source.split or DEFAULT_SPLIT
    with hub.hub_errors("dataset", source):
        info = HfApi(token=hub.token()).dataset_info(source.repo, revision=source.revision)
        revision = info.sha or source.revision
        try:
            stream = datasets.load_dataset(
                source.repo, split=split, revision=revision, streaming=True, token=hub.token()
            )
        except datasets.exceptions.DatasetNotFoundError as error:
            raise StageError(
                reasons.DATASET_NOT_FOUND, f"{source.repo!r} can't be read as a dataset: {error}"
            ) from error
        except ValueError as error:
            # The library reports an unknown split by a ValueError that lists those there are.
            raise StageError(reasons.BAD_SPLIT, f"dataset {source.repo!r} has no split {split!r}: {error}") from error
    splits = stream.info.splits or {}
    total = splits[split].num_examples if split in splits else None
    return Dataset(f"{source.repo} ({split})", _from_stream(stream, source), total, {"revision": revision})


def _from_stream(stream: Iterable[dict[str, object]], source: HuggingFaceRepo) -> Iterator[SourceRow]:
    with hub.hub_errors("dataset", source):
        yield from stream
