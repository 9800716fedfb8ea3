"""Whether what is about to be written fits."""

import shutil
from pathlib import Path

from distillation_api import reasons
from distillation_stages.runtime.failure import StageError


def require_disk(mount: Path, need: int, what: str) -> None:
    """Raise StageError when the storage has not the bytes for ``what``, with a tenth to spare."""
    need += need // 10
    free = shutil.disk_usage(mount).free
    if free < need:
        raise StageError(
            reasons.STORAGE_FULL,
            f"{what} needs {need / 1e9:.2f} GB on the storage, free are {free / 1e9:.2f} GB; make room",
        )
