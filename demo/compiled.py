"""Compiled programs of JAX, kept between runs of the demo: its storage goes with the testbed.

They are of one kind of CPU and one version of the programs; JAX takes none for another.
"""

import shutil
from pathlib import Path

from demo.inputs.staging import staged
from distillation_operator.local.cache import cache

_IN_STORAGE = Path("distillation", "cache")


def put_compiled(storage: Path) -> bool:
    """Copy what was kept into the storage, for pods to read and add to; whether there was any."""
    kept, target = _kept(), storage / _IN_STORAGE
    if not kept.is_dir() or target.exists():
        return False
    shutil.copytree(kept, target)
    for folder in (target.parent, target, *target.rglob("*")):
        folder.chmod(0o777 if folder.is_dir() else 0o666)
    return True


def keep_compiled(storage: Path) -> None:
    """Keep what a run has compiled in place of what was kept before; nothing when it compiled nothing."""
    made = storage / _IN_STORAGE
    if made.is_dir():
        with staged(_kept()) as folder:
            shutil.copytree(made, folder, dirs_exist_ok=True)


def _kept() -> Path:
    return cache() / "demo-compiled"
