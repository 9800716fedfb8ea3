"""What Hugging Face's library ``datasets`` knows of a repository, or of a folder that was one.

It says which configs and splits there are and which files they are made of. The rows of these files are read by our own
readers, as everywhere; only what those can't read (texts, archives, settings of its own in README.md) is streamed by
the library.
"""

import dataclasses
import re
import tarfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import IO, Any

from distillation_api import reasons
from distillation_stages.data.dataset import Dataset
from distillation_stages.data.files import DataFile, FileFormat, format_of
from distillation_stages.data.formats import is_looked_at
from distillation_stages.data.rows import rows_of
from distillation_stages.runtime.failure import StageError, first_line

SEPARATORS = {FileFormat.CSV: ",", FileFormat.TSV: "\t"}

_NAMES = frozenset({"name", "version", "data_dir", "data_files", "description"})
"""Members of a builder's configuration that say what it is about, and not how it is read."""

_HEADER = re.compile(r"\A---\s*\n(.*?)\n---", re.DOTALL)


def lists_configs(readme: str) -> bool:
    """Whether a dataset's README.md says in its header which files are which config."""
    header = _HEADER.match(readme.removeprefix("\ufeff").replace("\r\n", "\n"))
    return header is not None and re.search(r"^configs\s*:", header[1], re.MULTILINE) is not None


def builder_of(place: str, config: str | None, name: str, field: str, **options: object) -> Any:
    """The library's builder of a repository or folder, which knows the files of each split of the config.

    ``name`` is the dataset in messages, ``field`` where its config is set. Raises StageError for what can never be
    read; what the network did is raised as it is.
    """
    import datasets
    import yaml

    try:
        return datasets.load_dataset_builder(place, name=config, **options)
    except (datasets.exceptions.DataFilesNotFoundError, datasets.data_files.EmptyDatasetError) as error:
        raise StageError(reasons.NO_DATA_FILES, f"dataset {name} holds no data files: {first_line(error)}") from error
    except datasets.exceptions.DatasetNotFoundError as error:
        raise StageError(
            reasons.DATASET_NOT_FOUND, f"{name} can't be read as a dataset: {first_line(error)}"
        ) from error
    except FileNotFoundError as error:
        # By this class the library also tells that the Hub can't be reached.
        if "Unable to find '" not in str(error):
            raise
        raise StageError(
            reasons.NO_DATA_FILES,
            f"README.md of dataset {name} names files that aren't there: {first_line(error)}. Add them, or give the "
            "folder of the others alone",
        ) from error
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise
        raise StageError(
            reasons.LOADING_SCRIPT,
            f"dataset {name} is a loading script, which isn't run ({first_line(error)}); give the rows themselves: "
            "many such repositories on the Hub have them as Parquet at the revision refs/convert/parquet",
        ) from error
    except ValueError as error:
        message = str(error)
        if message.startswith("Config name is missing") or re.match(r"BuilderConfig .* not found", message):
            names = datasets.get_dataset_config_names(place, **options)
            lacks = f"has no config {config!r}" if config is not None else "has several configs, and none is chosen"
            raise StageError(
                reasons.BAD_CONFIG, f"dataset {name} {lacks}; set {field} to one of {', '.join(names)}"
            ) from error
        raise _unreadable(name, error) from error
    except (yaml.YAMLError, TypeError) as error:
        raise StageError(
            reasons.UNREADABLE_DATASET, f"the header of README.md of dataset {name} is broken: {first_line(error)}"
        ) from error


def files_of(builder: Any, split: str, name: str, field: str) -> list[str]:
    """The places of the files of the split. Raises StageError when there is no such split."""
    splits = {str(known): files for known, files in builder.config.data_files.items()}
    if split not in splits:
        raise StageError(
            reasons.BAD_SPLIT, f"dataset {name} has no split {split!r}; set {field} to one of {', '.join(splits)}"
        )
    return [str(file) for file in splits[split]]


def split_dataset(builder: Any, split: str, name: str, files: dict[str, Callable[[], IO[bytes]]]) -> Dataset:
    """The rows of a split, whose files are given by name with what opens each."""
    if _is_plain(builder, files):
        read = [DataFile(file, opened) for file, opened in files.items()]
        return Dataset(name, lambda columns: rows_of(read, columns), _total(builder, split))
    return Dataset(name, lambda columns: _streamed(builder, split, name, columns), _total(builder, split))


def _total(builder: Any, split: str) -> int | None:
    splits = builder.info.splits or {}
    return splits[split].num_examples if split in splits else None


def _is_plain(builder: Any, files: Collection[str]) -> bool:
    """Whether our readers read these files as the library would."""
    formats = {format_of(file) for file in files}
    config, usual = builder.config, type(builder.config)()
    set_by_user = {
        member.name
        for member in dataclasses.fields(config)
        if member.name not in _NAMES and getattr(config, member.name) != getattr(usual, member.name)
    }
    separators = {SEPARATORS[kind] for kind in formats if kind in SEPARATORS}
    return None not in formats and set_by_user <= {"sep"} and (not separators or separators == {config.sep})


def _streamed(builder: Any, split: str, name: str, columns: Collection[str] | None) -> Iterator[dict[str, object]]:
    with _reading(name):
        stream = builder.as_streaming_dataset(split=split)
        if stream.features is not None:
            # Images and sounds in columns that nobody reads are never decoded.
            stream = stream.decode(False)
        if columns is not None and stream.column_names is not None:
            wanted = {*columns, *(name for name in stream.column_names if is_looked_at(name))}
            stream = stream.select_columns([name for name in stream.column_names if name in wanted])
        yield from stream


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turns what the library can't read into a StageError."""
    import datasets
    import pyarrow as pa

    try:
        yield
    except (
        *(datasets.exceptions.DatasetsError, pa.ArrowInvalid, pa.ArrowNotImplementedError),
        *(tarfile.TarError, ValueError, NotImplementedError, ImportError),
    ) as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> StageError:
    return StageError(
        reasons.UNREADABLE_DATASET, f"the library datasets can't read dataset {name}: {first_line(error)}"
    )
