"""A training run's checkpoints: which is whole, which is the newest, and making room.

Orbax writes ``N.orbax-checkpoint-tmp*`` and renames it, which on an object store is a copy that can stop half way: only
``commit_success.txt`` (or a commit time in the metadata) at both levels tells a whole checkpoint. MaxText's SFT trainer
ignores ``max_num_checkpoints_to_keep``, so old ones are removed here.
"""

import json
import shutil
from pathlib import Path

ITEM = "model_params"
OPTIMIZER = "optimizer_state"
COMMIT_FILE = "commit_success.txt"
METADATA_FILE = "_CHECKPOINT_METADATA"


def steps_in(checkpoints: Path) -> list[int]:
    """The steps with a whole checkpoint, oldest first. Step 0 is the untrained model and doesn't count."""
    if not checkpoints.is_dir():
        return []
    names = (path.name for path in checkpoints.iterdir())
    return sorted(int(name) for name in names if name.isdecimal() and int(name) > 0 and is_whole(checkpoints / name))


def newest_step(checkpoints: Path) -> int | None:
    """The newest step with a whole checkpoint; None when there is none."""
    return max(steps_in(checkpoints), default=None)


def is_whole(checkpoint: Path) -> bool:
    """True when the checkpoint and its parameters were committed."""
    return (checkpoint / ITEM).is_dir() and _committed(checkpoint) and _committed(checkpoint / ITEM)


def _committed(directory: Path) -> bool:
    if (directory / COMMIT_FILE).exists():
        return True
    try:
        metadata = json.loads((directory / METADATA_FILE).read_text())
    except (OSError, ValueError):
        return False
    return bool(metadata.get("commit_timestamp_nsecs"))


def remove_broken(checkpoints: Path) -> list[str]:
    """Remove what an interrupted save left, so that the trainer can't resume from it. Not while a trainer runs."""
    if not checkpoints.is_dir():
        return []
    broken = [path for path in checkpoints.iterdir() if path.is_dir() and not is_whole(path)]
    for path in broken:
        shutil.rmtree(path, ignore_errors=True)
    return sorted(path.name for path in broken)


def keep_newest(checkpoints: Path, count: int) -> list[int]:
    """Remove all whole checkpoints but the newest ``count``; returns the removed steps."""
    removed = steps_in(checkpoints)[:-count]
    for step in removed:
        shutil.rmtree(checkpoints / str(step), ignore_errors=True)
    return removed


def drop_optimizer_state(checkpoint: Path) -> None:
    """Remove what only a continued run needs: two thirds of the checkpoint."""
    shutil.rmtree(checkpoint / OPTIMIZER, ignore_errors=True)
