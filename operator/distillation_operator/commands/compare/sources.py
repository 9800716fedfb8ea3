"""Where the runs of a command line are: in files and folders, and else in the cluster."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distillation_api.contract import FACTS_NAME
from distillation_api.resource import API_VERSION, KIND
from distillation_operator.commands.compare.facts_reading import (
    history_curves,
    read_facts,
    read_text,
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
from distillation_operator.commands.files import STDIN, documents_of
from distillation_operator.commands.words import one_line

STATUS_NAME = "status.yaml"
"""The file that ``local`` keeps in the folder of a job."""
CLUSTER = "cluster:"
"""Before a name that is a job of the cluster's, though a file has it too."""
_JOB = re.compile(r"(?:([a-z0-9][-a-z0-9]*)/)?([a-z0-9][-.a-z0-9]*)")
_NODES = 1_000_000
"""Values in one file; aliases of YAML can make a small file hold any number."""

JobOfCluster = Callable[[str, str | None], dict[str, Any]]
"""Reads a job by name and namespace; None is the default namespace."""


@dataclass(frozen=True)
class Found:
    """The runs, and what to say of how they were found."""

    runs: Sequence[Run]
    remarks: Sequence[str] = ()


def find(names: Sequence[str], cluster: JobOfCluster, storage: Path | None) -> Found:
    """All runs that are named, in that order. Raises CommandError with a line for each that can't be read."""
    runs: list[Run] = []
    remarks: list[str] = []
    faults: list[str] = []
    for name in names:
        try:
            for run in _runs(name, cluster, storage):
                twin = next((known for known in runs if _is_same(known, run)), None)
                if twin is None:
                    runs.append(run)
                else:
                    remarks.append(f"{run.origin} is the same run as {twin.origin}: shown once")
        except CommandError as error:
            text = str(error)
            faults.append(one_line(text if text.startswith(name) else f"{name}: {text}"))
    if faults:
        raise CommandError("\n".join(faults))
    return Found(runs, remarks)


def _is_same(first: Run, second: Run) -> bool:
    """Whether both were read of the same job in the same state; by their text, as NaN isn't equal to itself."""
    if (first.name, first.namespace, first.uid) != (second.name, second.namespace, second.uid):
        return False
    return repr(replace(first, origin="", notes=())) == repr(replace(second, origin="", notes=()))


def _runs(name: str, cluster: JobOfCluster, storage: Path | None) -> Iterator[Run]:
    path = Path(name)
    if name == STDIN:
        yield from _of_text("standard input", sys.stdin.read(), storage)
    elif name.startswith(CLUSTER):
        yield _of_cluster(name.removeprefix(CLUSTER), cluster, storage)
    elif path.is_dir() and (found := _in_folder(path)):
        for file in found:
            yield from _of_file(file, storage)
    elif path.exists() and not path.is_dir():
        yield from _of_file(path, storage)
    elif path.is_dir():
        told = f"{name} is a folder without {STATUS_NAME} (of local) or {FACTS_NAME} (of a report)"
        if _JOB.fullmatch(name) is None:
            raise CommandError(told)
        try:
            yield _of_cluster(name, cluster, storage)
        except CommandError as error:
            raise CommandError(f"{told}, and as a job of the cluster: {error}") from error
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
    return sorted(folder.glob(f"*/{STATUS_NAME}"))


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
    try:
        parsed = _parsed(name, text)
        _require_small(parsed, name)
    except RecursionError as error:
        raise CommandError(f"{name} is nested too deeply for a {KIND}") from error
    for content in parsed:
        items = content.get("items") if isinstance(content, dict) else content
        for item in items if isinstance(items, list) else [content]:
            if not isinstance(item, dict) or item.get("kind") != KIND:
                continue
            if str(item.get("apiVersion", API_VERSION)).split("/")[0] == API_VERSION.split("/")[0]:
                yield item


def _parsed(name: str, text: str) -> list[Any]:
    """The documents of JSON or YAML. JSON is YAML, but read as such it takes a hundred times as long."""
    if text.lstrip()[:1] in ("{", "["):
        # YAML in flow style begins so too.
        with suppress(ValueError):
            return [json.loads(text)]
    return [document.content for document in documents_of(name, text)]


def _require_small(content: Any, name: str) -> None:
    left = _NODES
    rest = [content]
    while rest:
        value = rest.pop()
        left -= 1
        if left < 0:
            raise CommandError(f"{name} holds more than {_NODES:,} values, or itself: no {KIND} does")
        if isinstance(value, dict):
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)


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
        read = {stage: _inside(storage, path) for stage, path in missing.items()}
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
        return _inside(storage, str(Path(report).parent / FACTS_NAME))
    folder = evaluation_folder(job)
    if folder is None:
        return None
    try:
        left = sorted((storage / folder).glob(f"*/{FACTS_NAME}"), key=lambda file: file.stat().st_mtime)
    except (OSError, ValueError):
        return None
    return _inside(storage, str(left[-1].relative_to(storage))) if left and left[-1].is_relative_to(storage) else None


def _without_curves(job: dict[str, Any], run: Run, why: str) -> list[str]:
    if run.curves or not run.losses:
        return []
    return [f"its curves are missing, only the last losses are known: {why if is_over(job) else 'it has not ended'}"]


def _inside(storage: Path, path: str) -> Path | None:
    """A file in the storage; None when it isn't there, or leads out of it."""
    try:
        root = storage.resolve()
        found = (root / path).resolve()
        return found if found.is_relative_to(root) and found.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None


def _full_name(job: Mapping[str, Any]) -> str:
    metadata = job["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"
