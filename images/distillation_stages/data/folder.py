"""A dataset in the storage or a bucket: one file, or a folder with those of several splits and configs."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from distillation_api import reasons
from distillation_stages.data import library
from distillation_stages.data.dataset import Dataset
from distillation_stages.data.files import DataFile, format_of, is_data_like, listed, of_one_kind
from distillation_stages.data.licences import README, licence_of_readme
from distillation_stages.data.rows import count_rows, rows_of
from distillation_stages.data.splits import ALL, effective_splits, of_split, summary, tells_of_several
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.regular_files import inside
from distillation_stages.runtime.reporting import say
from distillation_stages.runtime.storage import below
from distillation_stages.services.buckets import Tree

FIELD = "dataset.source"


@dataclass(frozen=True)
class Folder:
    """Where a dataset's files lie."""

    name: str
    """For messages."""
    tree: Tree
    local: Path
    """Where its files are read: the folder itself, or the folder that they are copied to."""
    is_remote: bool
    within: Path | None = None
    """The folder that links in it may lead to, where that is more than itself."""

    def names(self) -> list[str]:
        """The files in it, in the order in which they are read."""
        return sorted(self.tree.sizes())

    def fetched(self, name: str) -> Path:
        """The file, here."""
        path = below(self.local, name)
        if self.is_remote:
            self.tree.get(name, path)
        else:
            inside(self.within or self.local, path)
        return path

    def readme(self) -> str:
        """What README.md says; nothing without one."""
        return (self.tree.read(README) or b"").decode(errors="replace")


@dataclass(frozen=True)
class Choice:
    """The files of a folder that are read, and those that aren't though they may hold rows."""

    files: list[str]
    passed_over: list[str]


def file_dataset(folder: Folder, name: str, split: str | None, config: str | None) -> Dataset:
    """The rows of one file of the folder, which is to be of that split when one is given."""
    if format_of(name) is None:
        of_one_kind([], folder.name)
    if config is not None:
        raise _no_configs(folder, config)
    if split is not None:
        _files_of(split, effective_splits([name]), folder.name)
    return _dataset(folder, Choice([name], []))


def folder_dataset(folder: Folder, split: str | None, config: str | None) -> Dataset:
    """The rows of the folder's files, of one split and config where there are several."""
    names = folder.names()
    readme = folder.readme() if README in names else ""
    if library.lists_configs(readme):
        dataset = _by_readme(folder, names, split, config)
    elif config is not None:
        raise _no_configs(folder, config)
    else:
        dataset = _dataset(folder, chosen_files(names, split, folder.name, _saved_splits(folder, names)))
    return replace(dataset, versions=licence_of_readme(readme))


def chosen_files(names: list[str], split: str | None, place: str, saved: list[str]) -> Choice:
    """The files to read of those in a folder. Raises StageError when it can't be told which, or there are none."""
    files, passed_over = of_one_kind(names, place)
    splits = effective_splits(files, saved)
    if split is None:
        if tells_of_several(splits):
            of_each = {found: name for name, found in reversed(splits.items())}
            raise StageError(
                reasons.SEVERAL_SPLITS,
                f"the file names of dataset {place} ({listed(of_each.values())}) tell of several splits: "
                f"{summary(splits)}; set {FIELD}.split to one of them, or to {ALL}",
            )
        return Choice(files, passed_over)
    chosen = _files_of(split, splits, place)
    say(f"dataset {place}: split {split} is {listed(chosen)}; in all there are {summary(splits)}")
    without_split = [name for name in files if not splits[name] and name not in chosen]
    return Choice(chosen, [*passed_over, *without_split])


def _files_of(split: str, splits: Mapping[str, frozenset[str]], place: str) -> list[str]:
    chosen = of_split(splits, split)
    if not chosen:
        known = f"its splits: {summary(splits)}" if any(splits.values()) else "its file names tell of none"
        raise StageError(
            reasons.BAD_SPLIT,
            f"dataset {place} has no split {split!r}; {known}. Set {FIELD}.split to one that it has, or leave it out "
            "when there is but one",
        )
    return chosen


def _no_configs(folder: Folder, config: str) -> StageError:
    return StageError(
        reasons.BAD_CONFIG,
        f"dataset {folder.name} has no config {config!r}: no README.md in it lists any; leave {FIELD}.config out, or "
        "give the folder of that config alone",
    )


def _dataset(folder: Folder, choice: Choice) -> Dataset:
    files = [DataFile(name, _opener(folder.fetched(name))) for name in choice.files]
    return Dataset(
        folder.name, lambda columns: rows_of(files, columns), count_rows(files), passed_over=choice.passed_over
    )


def _by_readme(folder: Folder, names: list[str], split: str | None, config: str | None) -> Dataset:
    """The config that README.md says, as the library finds its files."""
    if folder.is_remote:
        # The library goes by names: files without content do until it is known which of them are read.
        for name in filter(is_data_like, names):
            path = below(folder.local, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        folder.fetched(README)
    root = folder.local.resolve()
    builder = library.builder_of(str(root), config, folder.name, f"{FIELD}.config")
    splits = [str(known) for known in builder.config.data_files]
    if split is None and len(splits) > 1:
        raise StageError(
            reasons.SEVERAL_SPLITS,
            f"dataset {folder.name} has several splits: {', '.join(splits)}; set {FIELD}.split to one of them",
        )
    chosen = split or splits[0]
    places = library.files_of(builder, chosen, folder.name, f"{FIELD}.split")
    files = {}
    for place in places:
        name = Path(place).relative_to(root).as_posix()
        files[name] = _opener(folder.fetched(name))
    return library.split_dataset(builder, chosen, f"{folder.name} ({chosen})", files)


def _saved_splits(folder: Folder, names: list[str]) -> list[str]:
    """The splits of a folder that ``DatasetDict.save_to_disk`` has written."""
    if "dataset_dict.json" not in names:
        return []
    with suppress(ValueError, TypeError, KeyError):
        return [str(split) for split in json.loads(folder.tree.read("dataset_dict.json") or b"")["splits"]]
    return []


def _opener(path: Path) -> Callable[[], IO[bytes]]:
    return lambda: path.open("rb")
