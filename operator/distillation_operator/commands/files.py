"""Manifest files: any number of documents of YAML, or one of JSON."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from distillation_api.resource import GROUP, KIND
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.parsing import values
from distillation_operator.commands.paths import STDIN, is_folder, read_stdin, read_text, unreadable

_SUFFIXES = (".yaml", ".yml", ".json")
"""As kubectl knows manifests in a folder."""
_LIST = "List"
"""How the kinds of lists end: ``List``, and ``DistillationJobList``, as the API server answers."""
_NEAR = 0.85
"""Of difflib's ratio: two or three wrong letters, and no kind of anyone else's."""


@dataclass(frozen=True)
class Document:
    """One document of a file."""

    origin: str
    """File and number of the document, for messages."""
    content: Any

    @property
    def is_job(self) -> bool:
        """True for a DistillationJob, and for one whose group, version or kind is misspelt."""
        if self.kind is None:
            return self._group == GROUP
        if self.kind.endswith(_LIST):
            return False
        return self._group == GROUP or _is_near(self.kind.lower(), KIND.lower())

    @property
    def kind(self) -> str | None:
        """Its kind; None for what isn't a Kubernetes object."""
        return str(self.content["kind"]) if isinstance(self.content, dict) and "kind" in self.content else None

    @property
    def _group(self) -> str | None:
        return str(self.content.get("apiVersion")).split("/")[0] if isinstance(self.content, dict) else None


def _is_near(word: str, meant: str) -> bool:
    return len(word) < 2 * len(meant) and SequenceMatcher(None, word, meant).ratio() >= _NEAR


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
    """The documents of a file, ``-`` for standard input; empty ones are left out, and a list is its items.
    Raises CommandError.
    """
    if file == STDIN:
        return documents_of(shown_name(file), read_stdin())
    return documents_of(file, read_text(file))


def documents_of(name: str, text: str) -> Iterator[Document]:
    """The documents of a text, a list's items in its place; ``name`` is where it was read. Raises CommandError."""
    for number, content in enumerate(values(name, text), start=1):
        if content is not None:
            yield from _unfolded(Document(f"{name}, document {number}", content))


def shown_name(file: str) -> str:
    """What messages call a file of the command line."""
    return "standard input" if file == STDIN else file


def _unfolded(document: Document) -> Iterator[Document]:
    """The items of a list that has any, each with the kind and version that the list's names for it where it has none
    of its own, as kubectl reads them; else the document. Raises CommandError for items that are no list.
    """
    kind, content = document.kind, document.content
    items = content.get("items") if kind is not None and kind.endswith(_LIST) else None
    if not items:
        yield document
        return
    if not isinstance(items, list):
        raise CommandError(f"{document.origin}: items: Invalid value: should be a list, as this is a {kind}")
    of_list = {"apiVersion": content.get("apiVersion"), "kind": str(kind).removesuffix(_LIST)}
    for number, item in enumerate(items, start=1):
        is_bare = isinstance(item, dict) and "kind" not in item and kind != _LIST
        yield from _unfolded(Document(f"{document.origin}, item {number}", {**of_list, **item} if is_bare else item))
