"""A dataset's files, by their names: which formats are read, plain or compressed, and which files are no data."""

import bz2
import gzip
import io
import lzma
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import IO, Any, cast

import pyarrow as pa

from distillation_api import reasons
from distillation_stages.runtime.failure import StageError


class FileFormat(StrEnum):
    """How the rows of a file are written."""

    JSON_LINES = "JSON lines"
    JSON = "JSON"
    CSV = "CSV"
    TSV = "TSV"
    PARQUET = "Parquet"
    ARROW = "Arrow"


SUFFIXES: dict[str, FileFormat] = {
    ".jsonl": FileFormat.JSON_LINES,
    ".ndjson": FileFormat.JSON_LINES,
    ".json": FileFormat.JSON,
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.TSV,
    ".parquet": FileFormat.PARQUET,
    ".arrow": FileFormat.ARROW,
}

COMPRESSED: dict[str, Callable[[Any], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": lambda raw: pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd"),
}
"""Behind the suffix of a text's format. Parquet and Arrow compress inside."""

READABLE = f"{', '.join(SUFFIXES)} (text also with {', '.join(COMPRESSED)})"
"""The files that are read, for messages."""

SELF_EVIDENT = frozenset({FileFormat.JSON_LINES, FileFormat.PARQUET, FileFormat.ARROW})
"""Formats that hold rows and nothing else. A JSON or CSV file beside them is what describes or counts them."""

PAPERS = frozenset({".md", ".rst", ".html", ".pdf", ".py", ".ipynb", ".sh", ".yaml", ".yml", ".toml", ".lock"})
"""Suffixes of files that are about a dataset, and not its rows."""

PAPER_NAMES = frozenset({"license", "licence", "readme", "citation", "notice", "copying", "changelog"})
"""Names, without suffix, of such files, unless they are of lines or columns."""

LOGS = frozenset({"_delta_log"})
"""Folders whose JSON files tell of the changes of a table, and hold no rows of it."""

LIBRARY_FILES = frozenset(
    {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json", "dummy_data.zip"}
)
"""What the library ``datasets`` writes beside the data."""

COMPUTED = re.compile(r"cache-[0-9a-f]{16}(_\d{5}_of_\d{5})?\.arrow|tmp[a-z0-9_]{8}")
"""What the library ``datasets`` leaves in a folder of ``save_to_disk`` that was opened and worked on."""


@dataclass(frozen=True)
class DataFile:
    """A file with rows, wherever it lies."""

    name: str
    """For messages, and for its format."""
    open_raw: Callable[[], IO[bytes]]
    """Opens it as it lies, from its beginning."""

    @property
    def format(self) -> FileFormat:
        """How its rows are written."""
        found = format_of(self.name)
        assert found is not None, "only files with a known format are chosen"
        return found

    @property
    def is_compressed(self) -> bool:
        """Whether it has to be unpacked to know anything of it."""
        return PurePosixPath(self.name).suffix.casefold() in COMPRESSED

    def open(self) -> IO[bytes]:
        """Opens it, unpacked."""
        raw = self.open_raw()
        if not self.is_compressed:
            return raw
        unpacked = COMPRESSED[PurePosixPath(self.name).suffix.casefold()](raw)
        return cast(IO[bytes], io.BufferedReader(unpacked))


def format_of(name: str) -> FileFormat | None:
    """The format of a file of that name; None when such files aren't read."""
    path = PurePosixPath(name)
    suffix = path.suffix.casefold()
    if suffix not in COMPRESSED:
        return SUFFIXES.get(suffix)
    inner = SUFFIXES.get(PurePosixPath(path.stem).suffix.casefold())
    return None if inner in (FileFormat.PARQUET, FileFormat.ARROW) else inner


def is_data_like(name: str) -> bool:
    """Whether a file of a dataset's folder may hold rows: whatever isn't hidden, nor known to be about the dataset."""
    path = PurePosixPath(name)
    # A bucket's objects may have any name; one that leads out of the folder is never written there.
    if path.is_absolute() or any(part.startswith((".", "_")) for part in path.parts):
        return False
    if path.name in LIBRARY_FILES or COMPUTED.fullmatch(path.name):
        return False
    return not (path.suffix.casefold() in PAPERS or _has_paper_name(path))


def is_set_aside(name: str) -> bool:
    """Whether a file has the format of rows, and is never read in a folder because of its name."""
    path = PurePosixPath(name)
    if path.is_absolute() or format_of(name) is None or any(part.startswith(".") for part in path.parts):
        return False
    return _has_paper_name(path) or any(part.startswith("_") and part not in LOGS for part in path.parts)


def of_one_kind(names: Collection[str], place: str) -> tuple[list[str], list[str]]:
    """The names of files that are read together, and of those that are passed over.

    Raises StageError when none is read, or it can't be told which of two kinds holds the rows.
    """
    data = [name for name in names if is_data_like(name)]
    kinds = (SELF_EVIDENT, {FileFormat.CSV, FileFormat.TSV}, {FileFormat.JSON})
    evident, tables, documents = (_of_formats(data, kind) for kind in kinds)
    if not evident and tables and documents:
        raise StageError(
            reasons.SEVERAL_FORMATS,
            f"dataset {place} holds CSV files ({tables[0]}, ...) and JSON files ({documents[0]}, ...), and which of "
            "them hold the rows can't be told; give one file, or a folder that holds the one kind alone",
        )
    chosen = evident or tables or documents
    if not chosen:
        found = f"; it holds {listed(data)}" if data else ""
        raise StageError(
            reasons.NO_DATA_FILES,
            f"dataset {place} holds no file that is read: {READABLE}{found}. Give such a file or its folder",
        )
    taken = set(chosen)
    return chosen, [name for name in names if name not in taken and (is_data_like(name) or is_set_aside(name))]


def listed(names: Collection[str], most: int = 5) -> str:
    """The first names of many, for messages."""
    shown = ", ".join(sorted(names)[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _has_paper_name(path: PurePosixPath) -> bool:
    return path.name.split(".")[0].casefold() in PAPER_NAMES and format_of(path.name) not in SELF_EVIDENT


def _of_formats(names: Iterable[str], formats: Collection[FileFormat]) -> list[str]:
    return [name for name in names if format_of(name) in formats]
