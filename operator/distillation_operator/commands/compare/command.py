"""The command itself: read the runs, bring them in order, show them."""

import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillation_operator.commands.compare.as_json import as_json
from distillation_operator.commands.compare.comparison import Comparison
from distillation_operator.commands.compare.figures import in_order
from distillation_operator.commands.compare.page import page
from distillation_operator.commands.compare.sources import find
from distillation_operator.commands.compare.terminal import show
from distillation_operator.commands.errors import CommandError
from distillation_operator.commands.paths import is_folder
from distillation_operator.commands.words import one_line

if TYPE_CHECKING:
    from distillation_operator.commands.compare.cluster import Cluster


def run(
    names: Sequence[str],
    *,
    namespace: str | None = None,
    kubeconfig: str | None = None,
    context: str | None = None,
    storage: str | None = None,
    html: str | None = None,
    as_data: bool = False,
    sort: str | None = None,
) -> int:
    """Show the runs as a table, or as JSON with ``as_data``; write the page to ``html``. Raises CommandError."""
    if storage is not None and not is_folder(storage):
        raise CommandError(f"--storage {storage}: there is no such folder; give the one that holds the storage's files")

    @cache
    def cluster() -> "Cluster":
        # Files shouldn't wait for Kubernetes' client to load.
        from distillation_operator.commands.compare.cluster import Cluster

        return Cluster(kubeconfig, context, namespace)

    def job(name: str, place: str | None) -> dict[str, Any]:
        return cluster().job(name, place)

    found = find(names, job, Path(storage) if storage else None)
    for remark in found.remarks:
        print(f"distillation-operator: {one_line(remark)}", file=sys.stderr)
    comparison = Comparison.of(in_order(found.runs, sort))
    if html is not None:
        _write(Path(html), page(comparison))
    if as_data:
        print(as_json(comparison))
    else:
        show(comparison)
    if html is not None:
        print(f"distillation-operator: the page is {html}", file=sys.stderr)
    return 0


def _write(path: Path, text: str) -> None:
    """Write whole or not at all: a browser may have the old page open."""
    try:
        if path.exists() and not path.is_file():
            raise CommandError(f"--html {path}: it is no file; name one, such as runs.html")
        path = path.resolve()
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with open(temporary, "x", encoding="utf-8", errors="replace") as file:
                file.write(text)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        told = getattr(error, "strerror", None) or error
        raise CommandError(f"--html {path}: {told}; name a file in a folder that exists") from error
