"""``validate``: the checks of the API server, without a cluster."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.files import documents, manifest_files, shown_name
from distillation_operator.commands.paths import STDIN
from distillation_operator.commands.printable import printable
from distillation_operator.commands.validation import validate


@dataclass
class _Count:
    """What was found in one place."""

    documents: int = 0
    objects: int = 0
    """Documents that have a kind."""
    jobs: int = 0
    faults: int = 0


def run(places: Sequence[str]) -> int:
    """Print what is wrong with the DistillationJobs of files, and of directories with all below; 0 when nothing is."""
    return 1 if sum(map(_faults_of, places)) else 0


def _faults_of(place: str) -> int:
    """How many faults a file or a directory has, which are printed."""
    count = _Count()
    try:
        files = manifest_files(place)
        for file in files:
            _check(file, count)
        if not count.faults:
            _require_content(place, files, count)
    except CommandError as error:
        count.faults += 1
        print(printable(str(error)), file=sys.stderr)
    if not count.faults and not count.jobs:
        print(printable(f"{shown_name(place)}: no DistillationJob in it"))
    return count.faults


def _require_content(place: str, files: Sequence[str], count: _Count) -> None:
    """Require that there was something to check: a program that failed leaves an empty file, or an empty pipe.

    Raises CommandError.
    """
    if place == STDIN and not count.objects:
        raise CommandError("standard input holds no Kubernetes object: has the command before the pipe failed?")
    if files == [place] and not count.documents:
        raise CommandError(f"{place} is empty: it holds no document")


def _check(file: str, count: _Count) -> None:
    """Print what is wrong with the DistillationJobs of a file, and count it."""
    try:
        for document in documents(file):
            count.documents += 1
            count.objects += document.kind is not None
            if not document.is_job:
                kind = document.kind or _without_kind(file)
                print(printable(f"{document.origin}: skipped, {kind} is not a DistillationJob"))
                continue
            count.jobs += 1
            messages = validate(document.content)
            count.faults += len(messages)
            for message in messages:
                print(printable(f"{document.origin}: {message}"), file=sys.stderr)
            if not messages:
                print(printable(f"{document.origin}: valid"))
    except CommandError as error:
        # The other files are still worth a look.
        count.faults += 1
        print(printable(str(error)), file=sys.stderr)


def _without_kind(file: str) -> str:
    return "a kustomization" if Path(file).stem.lower() == "kustomization" else "this"
