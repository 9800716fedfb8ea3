"""``validate``: the checks of the API server, without a cluster."""

import sys
from collections.abc import Sequence

from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.files import documents
from distillation_operator.commands.validation import validate


def run(files: Sequence[str]) -> int:
    """Print what is wrong with the DistillationJobs of the files; 0 when nothing is."""
    faults = 0
    for file in files:
        jobs = 0
        try:
            for document in documents(file):
                if not document.is_job:
                    print(f"{document.origin}: skipped, {document.kind or 'this'} is not a DistillationJob")
                    continue
                jobs += 1
                messages = validate(document.content)
                faults += len(messages)
                for message in messages:
                    print(f"{document.origin}: {message}", file=sys.stderr)
                if not messages:
                    print(f"{document.origin}: valid")
        except CommandError as error:
            # The other files are still worth a look.
            faults += 1
            print(error, file=sys.stderr)
        else:
            if not jobs:
                print(f"{file}: no DistillationJob in it")
    return 1 if faults else 0
