"""Wheel and sdist, by the build backend that pyproject.toml names."""

import os
import subprocess
import sys
from pathlib import Path

from release.errors import ReleaseError


def build(source: Path, epoch: int, target: Path) -> None:
    """Write both into the folder ``target``, with all times in them set to ``epoch``.

    Raises ReleaseError with the backend's words.
    """
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(target), "--target", "sdist"]
    done = subprocess.run(
        [*command, "--target", "wheel"], cwd=source, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ReleaseError(f"hatchling could not build wheel and sdist: {(done.stderr or done.stdout)[-2000:].strip()}")
