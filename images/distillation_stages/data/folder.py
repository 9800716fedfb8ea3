"""A dataset in the storage or a bucket: one file, or a folder with those of several splits and configs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from distillation_api import reasons
from distillation_stages.data import library
from distillation_stages.data.dataset import Dataset
from distillation_stages.data.files import DataFile, format_of, is_data_like, listed, of_one_kind
from distillation_stages.data.licences import README, licence_of_readme
from distillation_stages.data.rows import count_rows, rows_of
from distillation_stages.data.saved import foreign_files, saved_splits
from distillation_stages.data.splits import ALL, effective_splits, of_split, summary, tells_of_several
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.lfs_pointer import ADVICE, missing_bytes
from distillation_stages.runtime.regular_files import inside
from distillation_stages.runtime.reporting import say
from distillation_stages.runtime.shards import missing_shards
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
        """The file, here. Raises StageError for a Git LFS pointer in its place."""
        path = below(self.local, name)
        if self.is_remote:
            self.tree.get(name, path)
        else:
            inside(self.within or self.local, path)
        missing = missing_bytes(path)
        if missing is not None:
            raise StageError(
                reasons.INCOMPLETE_DATASET,
                f"dataset {self.name}: {name} is a Git LFS pointer, and its {missing} bytes are missing: {ADVICE}",
            )
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
        foreign = foreign_files(folder.tree, names, folder.name)
        own = [name for name in names if name not in foreign]
        choice = chosen_files(own, split, folder.name, saved_splits(folder.tree, names))
        _require_shards(folder.name, choice.files, names, split)
        passed_over = sorted({*choice.passed_over, *filter(is_data_like, foreign)})
        dataset = _dataset(folder, replace(choice, passed_over=passed_over))
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


def _require_shards(place: str, files: list[str], names: list[str], split: str | None) -> None:
    """Raises StageError when a shard of the files isn't among the names; with all files chosen it is a warning."""
    # What was broken off while it was copied often has a suffix of its own, and isn't read.
    missing = missing_shards(files, filter(format_of, names))
    if missing and split == ALL:
        say(f"warning: dataset {place} lacks {missing}")
    elif missing:
        raise StageError(
            reasons.INCOMPLETE_DATASET,
            f"dataset {place} lacks {missing}. Copy it again, with all its files; where they are left out on purpose, "
            f"give a folder that holds only these files, with {FIELD}.split: {ALL}",
        )


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
    chosen_names = [Path(place).relative_to(root).as_posix() for place in places]
    _require_shards(folder.name, chosen_names, names, split)
    for name in chosen_names:
        files[name] = _opener(folder.fetched(name))
    return library.split_dataset(builder, chosen, f"{folder.name} ({chosen})", files)


def _opener(path: Path) -> Callable[[], IO[bytes]]:
    return lambda: path.open("rb")
