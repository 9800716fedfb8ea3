"""A training run's checkpoints: which is whole, which is the newest, and making room.

Orbax writes a checkpoint and its items at their places (see ``committed_saves``), and ``commit_success.txt`` last into
each: that file, at both levels, tells a whole one. Earlier versions of ours wrote it too, and then renamed
``N.orbax-checkpoint-tmp`` to ``N``. Where a directory's rename isn't atomic, the files of one that was interrupted lie
under both names, those two among them at random: a checkpoint of theirs is whole when nothing is left to be renamed.
MaxText's SFT trainer ignores ``max_num_checkpoints_to_keep``, so old ones are removed here.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

ITEM = "model_params"
OPTIMIZER = "optimizer_state"
COMMIT_FILE = "commit_success.txt"
UNFINISHED = ".orbax-checkpoint-tmp"


def steps_in(checkpoints: Path) -> list[int]:
    """The steps with a whole checkpoint, oldest first. Step 0 is the untrained model and doesn't count."""
    return sorted(step for path in _whole_ones(_entries(checkpoints)) if (step := int(path.name)) > 0)


def newest_step(checkpoints: Path) -> int | None:
    """The newest step with a whole checkpoint; None when there is none."""
    return max(steps_in(checkpoints), default=None)


def _entries(checkpoints: Path) -> list[Path]:
    return list(checkpoints.iterdir()) if checkpoints.is_dir() else []


def _whole_ones(entries: list[Path]) -> list[Path]:
    half_renamed = {
        path.name.partition(UNFINISHED)[0] for path in entries if UNFINISHED in path.name and _has_files(path)
    }
    return [
        path
        for path in entries
        if path.name.isdecimal()
        and path.name not in half_renamed
        and _is_committed(path)
        and _is_committed(path / ITEM)
    ]


def _is_committed(directory: Path) -> bool:
    # Not the commit time in the metadata, which Orbax writes first.
    return (directory / COMMIT_FILE).is_file()


def _has_files(directory: Path) -> bool:
    return any(not path.is_dir() for path in directory.rglob("*"))


def remove_broken(checkpoints: Path) -> list[str]:
    """Remove what an interrupted save or removal left: the trainer can't resume from it, and can save there again.

    Not while a trainer runs.
    """
    entries = _entries(checkpoints)
    whole = _whole_ones(entries)
    broken = [path for path in entries if path.is_dir() and path not in whole]
    # What is left of a rename tells that the part with the final name is torn, so that part goes first.
    for path in sorted(broken, key=lambda path: UNFINISHED in path.name):
        _remove(path, _unless_gone)
    return sorted(path.name for path in broken)


def keep_newest(checkpoints: Path, count: int) -> list[int]:
    """Remove all whole checkpoints but the newest ``count``; returns the removed steps."""
    removed = steps_in(checkpoints)[:-count]
    for step in removed:
        _remove(checkpoints / str(step), _anyhow)
    return removed


OnError = Callable[[Callable[..., Any], str, BaseException], object]


def _remove(directory: Path, on_error: OnError) -> None:
    """Remove it, what calls it whole first: a kill on the way leaves nothing that is believed."""
    try:
        (directory / COMMIT_FILE).unlink(missing_ok=True)
    except OSError as error:
        on_error(Path.unlink, str(directory / COMMIT_FILE), error)
        return
    shutil.rmtree(directory, onexc=on_error)


def _unless_gone(function: Callable[..., Any], path: str, error: BaseException) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _anyhow(function: Callable[..., Any], path: str, error: BaseException) -> None:
    """What can't be removed only takes room."""


def drop_optimizer_state(checkpoint: Path) -> None:
    """Remove what only a continued run needs: two thirds of the checkpoint."""
    shutil.rmtree(checkpoint / OPTIMIZER, ignore_errors=True)
