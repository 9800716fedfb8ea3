"""``watch`` of a job that ``local`` runs: its status file, until it ends."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live

from distillation_operator.commands import watch
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.local_options import of_user
from distillation_operator.commands.paths import is_folder as is_directory
from distillation_operator.commands.printable import printable
from distillation_operator.local.errors import LocalError
from distillation_operator.local.folder import STATUS, JobFolder

SECONDS_BETWEEN_LOOKS = 0.5


def is_folder(name: str) -> bool:
    """True for a path: no DistillationJob's name has a slash or a dot."""
    return os.sep in name or "." in name


def run(path: str) -> int:
    """Follow the job of a folder, or of the status file in it; 0 when it is Complete, 1 when it is Failed."""
    with watch.goes_on(path), view_here() as view:
        folder = JobFolder(_folder(of_user(path)))
        last = follow(folder, view)
    for line in watch.results(last, str(folder.path.parent)):
        print(printable(line))
    return 0 if watch.ended(last) == "Complete" else 1


def _folder(path: Path) -> Path:
    folder = path.parent if path.name == STATUS and not is_directory(path) else path
    # Of . and .. there is no parent to name.
    return folder.resolve() if folder.name in ("", "..") else folder


@contextmanager
def view_here() -> Iterator[watch.View]:
    """What shows a job on standard output: a table that is drawn again on a terminal, elsewhere lines."""
    console = Console(highlight=False)
    if not console.is_terminal:
        yield watch.LineView()
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield watch.LiveView(live)


def follow(folder: JobFolder, view: watch.View, sleep: Callable[[float], None] = time.sleep) -> watch.Object:
    """Show the job until it ends; returns its last state. Raises CommandError where there is none."""
    seen, is_run = None, True
    while True:
        held, version = folder.is_held(), folder.version()
        if version is None or version != seen:
            job = _read(folder)
            seen = version
            view.show(job)
            if watch.ended(job) is not None:
                return job
        if is_run and not held:
            view.tell("no `distillation-operator local` works at it now; started again it goes on")
        is_run = held
        sleep(SECONDS_BETWEEN_LOOKS)


def _read(folder: JobFolder) -> watch.Object:
    try:
        job = folder.read()
    except LocalError as error:
        raise CommandError(str(error)) from error
    if job is None:
        raise CommandError(
            f"{folder.path} has no {folder.status_file.name}: `local --storage DIR` makes it in DIR/NAME"
        )
    return job
