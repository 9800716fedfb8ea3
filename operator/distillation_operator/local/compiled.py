"""Compiled programs that processes share, but what one that was killed may have written half.

JAX writes into its cache in place, and never again what is there: half a program would stay for ever.
"""

import contextlib
import os
from pathlib import Path

from distillation_operator.local.errors import telling_of_disk

_SINCE = "compiling"
"""The file in the job's folder that is as old as the first of the processes that run."""


class CompiledPrograms:
    """The cache of one storage, and which of it isn't known to be whole."""

    def __init__(self, cache: Path, job: Path) -> None:
        """``cache``: the folder that processes share, if there is one; ``job``: the folder of the job, on the same file
        system: by its clock.
        """
        self._cache = cache
        self._since = job / _SINCE

    def begin(self) -> None:
        """A process is about to be started."""
        if not self._since.exists():
            with telling_of_disk(self._since):
                self._since.touch()

    def end(self, well: bool, is_last: bool) -> None:
        """Processes have ended. ``well``: all of them by themselves, and with success; ``is_last``: none runs."""
        if not well:
            self._remove_new()
        if is_last:
            with telling_of_disk(self._since):
                self._since.unlink(missing_ok=True)

    def recover(self) -> None:
        """No process runs; if one did when an earlier `local` was killed, nobody knows how it has ended."""
        self.end(well=False, is_last=True)

    def _remove_new(self) -> None:
        """Of others too, which is compiled again: whose a file is can't be seen."""
        try:
            since = self._since.stat().st_mtime_ns
        except FileNotFoundError:
            return
        for folder, _, names in os.walk(self._cache):
            for name in names:
                # Another process replaces and removes files meanwhile.
                with contextlib.suppress(FileNotFoundError), telling_of_disk(self._cache):
                    file = Path(folder, name)
                    if file.lstat().st_mtime_ns >= since:
                        file.unlink()
