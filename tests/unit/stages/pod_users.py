"""Programs of their own that have a user as pods have them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STAGE_USER = 65532
AS_STAGE_USER = f"""
import os, resource
from pathlib import Path
from distillation_stages.__main__ import main
from distillation_stages.runtime.device_access import lift_locked_memory, require_devices, rights
from distillation_stages.runtime.failure import StageError
os.setgroups([])
os.setgid({STAGE_USER})
os.setuid({STAGE_USER})
"""
"""The interpreter may lie where that user can't come; what is needed of it is loaded before."""


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that the stages' user can enter. pytest closes its own to others whenever another run of it starts."""
    with tempfile.TemporaryDirectory(prefix="pod-users-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
