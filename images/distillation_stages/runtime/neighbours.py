"""A path of the spec that leads to nothing in the storage: which field it is, and what lies where it was looked for."""

import os
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from distillation_stages.runtime.storage import Storage

SHOWN = 8
"""Names that are told."""
_LOOKED_AT = 1000
"""Entries of a folder that are looked at: a bucket's may have very many."""


def not_found(storage: Storage, path: str, field: str, kind: str) -> str:
    """What is wrong with the path in that field, which is to be a ``kind``, and what may be meant."""
    target = storage.at(path)
    said = f"{field} is {path!r}, and there is no such {kind} in the storage"
    if target.exists():
        return f"{field} is {path!r}, which is no {kind} in the storage"
    root = storage.mount.resolve()
    missing, folder = target, target.parent
    while folder != root and folder.is_relative_to(root) and not folder.is_dir():
        missing, folder = folder, folder.parent
    names = _names(folder)
    where = "its root" if folder == root else repr(storage.relative(folder))
    if not names:
        return f"{said}; {where} is empty or can't be listed"
    near = get_close_matches(missing.name, names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{said}{hint}; {where} has {', '.join(map(repr, names[:SHOWN]))}{more}"


def _names(folder: Path) -> list[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        return sorted(entry.name for entry in islice(entries, _LOOKED_AT))
    return []
