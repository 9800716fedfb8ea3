"""Saves that are whole or absent on every storage.

On a mount Orbax renames a directory when a save is done. On a bucket without a hierarchical namespace that is a loop of
GCS FUSE over the objects, in random order: where it is interrupted, both names have a part, and either the file that
tells of success. Beyond ``rename-dir-limit`` it is refused. On paths of gs:// Orbax writes at the place itself instead,
and that file last. So it does everywhere once this is called, and what lacks the file is no checkpoint to its readers.

Steps and their items, saved at once or in the background, by CheckpointManager or Checkpointer, and all lookups of
steps, choose between both ways by these two functions alone, unless a caller names a way: MaxText and Tunix don't.
"""

from typing import Any


def commit_by_file() -> None:
    """Let Orbax, in this process, tell what is whole by a file that is written last."""
    from orbax.checkpoint._src.path import atomicity, atomicity_defaults

    def by_commit_file(path: Any, *, atomicity_options: Any = None) -> Any:
        return atomicity.CommitFileTemporaryPath

    atomicity_defaults.get_default_temporary_path_class = by_commit_file
    atomicity_defaults.get_item_default_temporary_path_class = by_commit_file
