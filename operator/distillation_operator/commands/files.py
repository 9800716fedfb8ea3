"""Manifest files: any number of documents of YAML, or one of JSON."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from distillation_api.resource import API_VERSION, KIND
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.parsing import values
from distillation_operator.commands.paths import STDIN, is_folder, read_stdin, read_text, unreadable

_SUFFIXES = (".yaml", ".yml", ".json")
"""As kubectl knows manifests in a folder."""


@dataclass(frozen=True)
class Document:
    """One document of a file."""

    origin: str
    """File and number of the document, for messages."""
    content: Any

    @property
    def is_job(self) -> bool:
        """True for a DistillationJob, of whatever version, and for what has its API's group and a misspelt kind."""
        if not isinstance(self.content, dict):
            return False
        group = API_VERSION.split("/")[0]
        named = str(self.content["apiVersion"]).split("/")[0] if "apiVersion" in self.content else None
        return named == group or (named is None and self.kind == KIND)

    @property
    def kind(self) -> str | None:
        """Its kind; None for what isn't a Kubernetes object."""
        return str(self.content["kind"]) if isinstance(self.content, dict) and "kind" in self.content else None


def manifest_files(place: str) -> list[str]:
    """A file itself; of a directory its manifests and those of all directories below, in the order of their names.

    Hidden files and directories are left out. Raises CommandError where a directory has no manifest.
    """
    if place == STDIN or not is_folder(place):
        return [place]
    found: list[str] = []
    for folder, below, names in os.walk(place, onerror=_unreadable):
        below[:] = sorted(name for name in below if not name.startswith("."))
        manifests = sorted(n for n in names if n.lower().endswith(_SUFFIXES) and not n.startswith("."))
        found.extend(path for name in manifests if not _is_special(path := os.path.join(folder, name)))
    if not found:
        raise CommandError(f"{place} has no manifests: no file in it ends in {', '.join(_SUFFIXES)}")
    return found


def _is_special(path: str) -> bool:
    """Whether it is there and no file, as a pipe that nobody writes, which would never end."""
    return os.path.exists(path) and not os.path.isfile(path)


def _unreadable(error: OSError) -> None:
    raise unreadable(error.filename, error) from error


def documents(file: str) -> Iterator[Document]:
    """The documents of a file, ``-`` for standard input; empty ones are left out. Raises CommandError."""
    if file == STDIN:
        return documents_of("standard input", read_stdin())
    return documents_of(file, read_text(file))


def documents_of(name: str, text: str) -> Iterator[Document]:
    """The documents of a text; ``name`` is where it was read. Raises CommandError."""
    for number, content in enumerate(values(name, text), start=1):
        if content is not None:
            yield Document(f"{name}, document {number}", content)
