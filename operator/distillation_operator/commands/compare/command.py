"""The command itself: read the runs, bring them in order, show them."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from distillation_operator.commands.compare.as_json import as_json
from distillation_operator.commands.compare.cluster import Cluster
from distillation_operator.commands.compare.comparison import Comparison
from distillation_operator.commands.compare.figures import in_order
from distillation_operator.commands.compare.page import page
from distillation_operator.commands.compare.sources import find
from distillation_operator.commands.compare.terminal import show
from distillation_operator.commands.compare.words import printable
from distillation_operator.commands.errors import CommandError

_MODE = 0o644


def run(
    names: Sequence[str],
    *,
    namespace: str | None = None,
    kubeconfig: str | None = None,
    storage: str | None = None,
    html: str | None = None,
    as_data: bool = False,
    sort: str | None = None,
) -> int:
    """Show the runs as a table, or as JSON with ``as_data``; write the page to ``html``. Raises CommandError."""
    if storage is not None and not Path(storage).is_dir():
        raise CommandError(f"--storage {storage}: there is no such folder; give the one that holds the storage's files")
    found = find(names, Cluster(kubeconfig, namespace).job, Path(storage) if storage else None)
    for remark in found.remarks:
        print(f"distillation-operator: {printable(remark)}", file=sys.stderr)
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
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            os.chmod(temporary, _MODE)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise CommandError(f"--html {path}: {error.strerror or error}; name a file in a folder that exists") from error
