"""Where the runs of a command line are: in files and folders, and else in the cluster."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distillation_api.contract import FACTS_NAME
from distillation_api.resource import API_VERSION, KIND
from distillation_operator.commands.compare.facts_reading import (
    history_curves,
    read_facts,
    run_of_facts,
    with_facts,
)
from distillation_operator.commands.compare.run import Run
from distillation_operator.commands.compare.status_reading import (
    evaluation_folder,
    history_files,
    is_over,
    report_file,
    run_of_object,
)
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.parsing import values
from distillation_operator.commands.paths import (
    STDIN,
    inside,
    is_folder,
    is_there,
    read_stdin,
    read_text,
    unreadable,
)
from distillation_operator.commands.words import one_line

STATUS_NAME = "status.yaml"
"""The file that ``local`` keeps in the folder of a job."""
CLUSTER = "cluster:"
"""Before a name that is a job of the cluster's, though a file has it too."""
_JOB = re.compile(r"(?:([a-z0-9][-a-z0-9]*)/)?([a-z0-9][-.a-z0-9]*)")

JobOfCluster = Callable[[str, str | None], dict[str, Any]]
"""Reads a job by name and namespace; None is the default namespace."""


@dataclass(frozen=True)
class Found:
    """The runs, and what to say of how they were found."""

    runs: Sequence[Run]
    remarks: Sequence[str] = ()


class _NoRun(Exception):
    """Of a folder in which there is no run."""


def find(names: Sequence[str], cluster: JobOfCluster, storage: Path | None) -> Found:
    """All runs that are named, in that order; among several a folder without one is passed over, with a remark.

    Raises CommandError with a line for each that can't be read.
    """
    runs: list[Run] = []
    remarks: list[str] = []
    left_out: list[str] = []
    is_whole = True
    for name in names:
        try:
            for run in _runs(name, cluster, storage):
                twin = next((known for known in runs if _is_same(known, run)), None)
                if twin is None:
                    runs.append(run)
                else:
                    remarks.append(f"{run.origin} is the same run as {twin.origin}: shown once")
        except _NoRun as error:
            left_out.append(str(error))
        except (CommandError, OSError) as error:
            text = str(unreadable(error.filename or name, error) if isinstance(error, OSError) else error)
            left_out.append(text if text.startswith(name) else f"{name}: {text}")
            is_whole = False
    if not is_whole or not runs:
        raise CommandError("\n".join(map(one_line, left_out)))
    return Found(runs, [*remarks, *left_out])


def _is_same(first: Run, second: Run) -> bool:
    """Whether both were read of the same job in the same state; by their text, as NaN isn't equal to itself."""
    if (first.name, first.namespace, first.uid) != (second.name, second.namespace, second.uid):
        return False
    return repr(replace(first, origin="", notes=())) == repr(replace(second, origin="", notes=()))


def _runs(name: str, cluster: JobOfCluster, storage: Path | None) -> Iterator[Run]:
    path = Path(name)
    if name == STDIN:
        yield from _of_text("standard input", read_stdin(), storage)
    elif name.startswith(CLUSTER):
        yield _of_cluster(name.removeprefix(CLUSTER), cluster, storage)
    elif is_folder(path):
        found = _in_folder(path)
        if not found:
            job = f"; {CLUSTER}{name} is the job of the cluster" if _JOB.fullmatch(name) else ""
            raise _NoRun(f"{name} is a folder without {STATUS_NAME} (of local) or {FACTS_NAME} (of a report){job}")
        for file in found:
            yield from _of_file(file, storage)
    elif is_there(path):
        yield from _of_file(path, storage)
    else:
        yield _of_cluster(name, cluster, storage)


def _of_cluster(name: str, cluster: JobOfCluster, storage: Path | None) -> Run:
    named = _JOB.fullmatch(name)
    if named is None:
        raise CommandError(
            f"{name}: there is no such file or folder, and a job of the cluster is NAME or NAMESPACE/NAME"
        )
    try:
        job = cluster(named[2], named[1])
    except CommandError as error:
        raise CommandError(f"{name}: {error}; nor is there such a file or folder") from error
    return _of_object(job, f"cluster {_full_name(job)}", storage)


def _in_folder(folder: Path) -> list[Path]:
    """The file of a run in its folder, or those of all runs in a folder of ``local``'s."""
    for name in (STATUS_NAME, FACTS_NAME):
        if (folder / name).is_file():
            return [folder / name]
    return sorted(file for file in folder.glob(f"*/{STATUS_NAME}") if file.is_file())


def _of_file(file: Path, storage: Path | None) -> Iterator[Run]:
    if file.suffix == ".html":
        # Who has opened the report has this path at hand.
        if not (file.parent / FACTS_NAME).is_file():
            raise CommandError(f"{file}: there is no {FACTS_NAME} beside it; the page alone can't be compared")
        file = file.parent / FACTS_NAME
    if file.name == FACTS_NAME:
        yield run_of_facts(read_facts(file), file.resolve().parent.name, str(file))
        return
    # Beside the folder of a job of local's lies what the job has made.
    own = file.resolve().parent.parent if file.name == STATUS_NAME else None
    yield from _of_text(str(file), read_text(file), storage or own)


def _of_text(name: str, text: str, storage: Path | None) -> Iterator[Run]:
    found = list(_objects(name, text))
    if not found:
        raise CommandError(
            f"{name} has no {KIND}: give what `kubectl get dj NAME -o json` prints, {STATUS_NAME} of local or "
            f"{FACTS_NAME} of a report"
        )
    for number, job in enumerate(found, start=1):
        yield _of_object(job, name if len(found) == 1 else f"{name}, job {number}", storage)


def _objects(name: str, text: str) -> Iterator[dict[str, Any]]:
    """The DistillationJobs in a text; a List's items are taken for themselves."""
    for content in values(name, text):
        items = content.get("items") if isinstance(content, dict) else content
        for item in items if isinstance(items, list) else [content]:
            if not isinstance(item, dict) or item.get("kind") != KIND:
                continue
            if str(item.get("apiVersion", API_VERSION)).split("/")[0] == API_VERSION.split("/")[0]:
                yield item


def _of_object(job: dict[str, Any], origin: str, storage: Path | None) -> Run:
    run = run_of_object(job, origin)
    histories = history_files(job)
    if storage is None:
        return replace(
            run, notes=[*run.notes, *_without_curves(job, run, "--storage DIR names a folder that has them")]
        )
    notes = list(run.notes)
    try:
        facts = _facts_file(job, storage)
        if facts is not None:
            run = with_facts(run, read_facts(facts))
        missing = {stage: path for stage, path in histories.items() if stage not in run.curves}
        read = {stage: inside(storage, path) for stage, path in missing.items()}
        found = {stage: curves for stage, path in read.items() if path and (curves := history_curves(path))}
        run = replace(run, curves={**run.curves, **found})
    except CommandError as error:
        notes.append(f"its curves are missing: {error}")
        return replace(run, notes=notes)
    return replace(
        run,
        notes=[*notes, *_without_curves(job, run, f"{storage} doesn't hold them; --storage DIR names another folder")],
    )


def _facts_file(job: dict[str, Any], storage: Path) -> Path | None:
    """Beside the report; of an evaluation that named none what its last attempt has left."""
    if report := report_file(job):
        return inside(storage, str(Path(report).parent / FACTS_NAME))
    folder = evaluation_folder(job)
    if folder is None:
        return None
    try:
        left = sorted((storage / folder).glob(f"*/{FACTS_NAME}"), key=lambda file: file.stat().st_mtime)
    except (OSError, ValueError):
        return None
    return inside(storage, str(left[-1].relative_to(storage))) if left and left[-1].is_relative_to(storage) else None


def _without_curves(job: dict[str, Any], run: Run, why: str) -> list[str]:
    if run.curves or not run.losses:
        return []
    return [f"its curves are missing, only the last losses are known: {why if is_over(job) else 'it has not ended'}"]


def _full_name(job: Mapping[str, Any]) -> str:
    metadata = job["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"
