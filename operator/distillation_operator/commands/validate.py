"""``validate``: the checks of the API server, without a cluster."""

import sys
from collections.abc import Sequence
from pathlib import Path

from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.files import documents, manifest_files
from distillation_operator.commands.printable import printable
from distillation_operator.commands.validation import validate


def run(places: Sequence[str]) -> int:
    """Print what is wrong with the DistillationJobs of files, and of directories with all below; 0 when nothing is."""
    faults = 0
    for place in places:
        try:
            counts = [_of_file(file) for file in manifest_files(place)]
        except CommandError as error:
            faults += 1
            print(printable(str(error)), file=sys.stderr)
            continue
        wrong = sum(wrong for _, wrong in counts)
        if not wrong and not any(jobs for jobs, _ in counts):
            print(printable(f"{place}: no DistillationJob in it"))
        faults += wrong
    return 1 if faults else 0


def _of_file(file: str) -> tuple[int, int]:
    """How many DistillationJobs a file has, and how many faults, which are printed."""
    jobs = faults = 0
    try:
        for document in documents(file):
            if not document.is_job:
                kind = document.kind or _without_kind(file)
                print(printable(f"{document.origin}: skipped, {kind} is not a DistillationJob"))
                continue
            jobs += 1
            messages = validate(document.content)
            faults += len(messages)
            for message in messages:
                print(printable(f"{document.origin}: {message}"), file=sys.stderr)
            if not messages:
                print(printable(f"{document.origin}: valid"))
    except CommandError as error:
        # The other files are still worth a look.
        faults += 1
        print(printable(str(error)), file=sys.stderr)
    return jobs, faults


def _without_kind(file: str) -> str:
    return "a kustomization" if Path(file).stem.lower() == "kustomization" else "this"
