"""Folders that ``save_to_disk`` of the library ``datasets`` has written, which say themselves what they are made of."""

import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import PurePosixPath

from distillation_api import reasons
from distillation_stages.data.files import format_of, listed
from distillation_stages.runtime.failure import StageError
from distillation_stages.services.buckets import Tree

SPLITS, STATE = "dataset_dict.json", "state.json"


def saved_splits(tree: Tree, names: Collection[str]) -> list[str]:
    """The splits of a folder that ``DatasetDict.save_to_disk`` has written; none of another."""
    if SPLITS not in names:
        return []
    with suppress(ValueError, TypeError, KeyError):
        return [str(split) for split in json.loads(tree.read(SPLITS) or b"")["splits"]]
    return []


def foreign_files(tree: Tree, names: Collection[str], place: str) -> set[str]:
    """Files with rows that lie in a saved dataset's folder and aren't of it: what was computed of it, and others.

    Raises StageError when a file of the dataset is missing.
    """
    foreign = set[str]()
    for state in names:
        path = PurePosixPath(state)
        if path.name != STATE or any(part.startswith(".") for part in path.parts):
            continue
        own = _files_of_state(tree, state)
        if own is None:
            continue
        missing = sorted(own.difference(names))
        if missing:
            raise StageError(
                reasons.INCOMPLETE_DATASET,
                f"dataset {place} lacks {len(missing)} of the files that {state} names: {listed(missing)}; copy it "
                "again, with all its files",
            )
        beside = {name for name in names if PurePosixPath(name).parent == path.parent and format_of(name) is not None}
        foreign |= beside - own
    return foreign


def _files_of_state(tree: Tree, state: str) -> set[str] | None:
    """The dataset's files by the state that was saved; None for what only has its name."""
    folder = PurePosixPath(state).parent
    with suppress(ValueError, TypeError, KeyError):
        return {(folder / file["filename"]).as_posix() for file in json.loads(tree.read(state) or b"")["_data_files"]}
    return None
