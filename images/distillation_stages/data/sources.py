"""Where a dataset lies: on the Hub, in a bucket or in the storage. Its rows are the same in each place.

Everything streams: a dataset may be larger than the pod's memory.
"""

import itertools
from collections.abc import Collection, Iterator
from pathlib import Path

from distillation_api import reasons
from distillation_api.contract import Source
from distillation_stages.data.dataset import Dataset, SourceRow
from distillation_stages.data.files import format_of, listed
from distillation_stages.data.folder import Folder, file_dataset, folder_dataset
from distillation_stages.data.formats import hint
from distillation_stages.data.hub_dataset import hub_dataset
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.neighbours import not_found
from distillation_stages.runtime.reporting import say
from distillation_stages.runtime.storage import Storage
from distillation_stages.services.buckets import DirectoryTree, GcsTree

ROWS_TO_LEARN_COLUMNS = 100
"""JSON lines have no schema: a column of the question that none of the first rows has is taken for missing."""

ROWS_TO_FIND_COLUMNS = 10_000
"""Rows among which a column is looked for that none of the rows that were read has: they may have been few."""


def open_dataset(source: Source, storage: Storage, scratch: Path) -> Dataset:
    """The dataset. ``scratch`` takes a local copy of a bucket's files.

    Raises StageError when there is no such dataset, it can't be lacks which of its files are meant, or it can't be
    reached.
    """
    dataset = _opened(source, storage, scratch)
    if dataset.passed_over:
        say(
            f"warning: {len(dataset.passed_over)} files of dataset {dataset.name} aren't read: "
            f"{listed(dataset.passed_over, 20)}"
        )
    return dataset


def rows_with(dataset: Dataset, columns: list[str], asked: list[str]) -> Iterator[SourceRow]:
    """The dataset's rows with the columns, seen to have those that are asked for. Raises StageError when one is
    missing.
    """
    rows = dataset.read(columns)
    first = list(itertools.islice(rows, ROWS_TO_LEARN_COLUMNS))
    found = {name for row in first if isinstance(row, dict) for name in row}
    # Without a readable row there is nothing to compare with; the rows themselves are then rejected.
    if any(isinstance(row, dict) for row in first) and not found.issuperset(asked):
        _require(dataset, columns, ROWS_TO_LEARN_COLUMNS)
    return itertools.chain(first, rows)


def require_columns(dataset: Dataset, columns: list[str], absent: Collection[str]) -> None:
    """Raises StageError when one of the columns is missing. ``absent``: those that no row has had that was read."""
    if absent:
        _require(dataset, columns, ROWS_TO_FIND_COLUMNS, absent)


def _require(dataset: Dataset, columns: list[str], among: int, suspects: Collection[str] = ()) -> None:
    first: list[dict[str, object]] = []
    names: set[str] = set()
    for row in itertools.islice(dataset.read(None), among):
        if isinstance(row, dict):
            first.extend([row] if len(first) < ROWS_TO_LEARN_COLUMNS else [])
            names.update(row)
    found = sorted(names)
    missing = [name for name in columns if name in (suspects or columns) and name not in names]
    if found and missing:
        lacks = f"dataset {dataset.name} has no column {', '.join(map(repr, missing))}; its columns: {', '.join(found)}"
        raise StageError(reasons.MISSING_COLUMN, ". ".join(filter(None, [lacks, hint(first, columns)])))


def _opened(source: Source, storage: Storage, scratch: Path) -> Dataset:
    if source.hugging_face is not None:
        return hub_dataset(source.hugging_face)
    chosen = source.split, source.config
    if source.gcs_uri is not None:
        uri = source.gcs_uri
        if format_of(uri) is not None:
            parent, _, name = uri.rpartition("/")
            return file_dataset(Folder(uri, GcsTree(parent), scratch, is_remote=True), name, *chosen)
        return folder_dataset(Folder(uri, GcsTree(uri), scratch, is_remote=True), *chosen)
    if source.path is not None:
        # By the name that it has there: what a link leads to may have another.
        path, link = storage.at(source.path), storage.mount / source.path
        if path.is_file():
            tree = DirectoryTree(link.parent, storage.mount)
            return file_dataset(Folder(source.path, tree, link.parent, False, storage.mount), link.name, *chosen)
        if path.is_dir():
            tree = DirectoryTree(path, storage.mount)
            return folder_dataset(Folder(source.path, tree, path, False, storage.mount), *chosen)
        missing = not_found(storage, source.path, "spec.dataset.source.path", "file or directory")
        raise StageError(reasons.DATASET_NOT_FOUND, missing)
    raise StageError(reasons.NO_SOURCE, "the dataset's source is empty: give huggingFace, gcs or path")
