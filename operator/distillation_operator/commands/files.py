"""Manifest files: YAML with any number of documents, read as kubectl reads it."""

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distillation_api.resource import API_VERSION, KIND
from distillation_operator.commands.errors import CommandError

STDIN = "-"
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
    if place == STDIN or not Path(place).is_dir():
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
    raise CommandError(f"{error.filename} can't be read: {error.strerror or error}") from error


def documents(file: str) -> Iterator[Document]:
    """The documents of a file, ``-`` for standard input; empty ones are left out."""
    name, text = _read(file)
    try:
        for number, content in enumerate(yaml.load_all(text, Loader=_Loader), start=1):
            if content is not None:
                yield Document(f"{name}, document {number}", content)
    except yaml.YAMLError as error:
        raise CommandError(f"{name} is not YAML: {_one_line(error)}") from error


def _read(file: str) -> tuple[str, str]:
    try:
        if file == STDIN:
            return "standard input", sys.stdin.read()
        return file, Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} can't be read: it is not text in UTF-8") from error


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    problem = getattr(error, "problem", None) or str(error)
    return place + " ".join(str(problem).split())


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader where it differs from the one of kubectl: no timestamps, 1e-5 is a number, a key twice is
    an error."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and isinstance(key.value, str):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key.value} is there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)
