"""How the storage renames a directory, found by renaming one.

Nothing of ours depends on it; what users run beside us may. That a rename is atomic can't be seen from a mount: seen is
whether it is refused, and whether its time grows with the number of files, as it does where they move one by one.
"""

import errno
import shutil
import time
from pathlib import Path

from distillation_api.contract import DirectoryRename

FILES = 32
SECONDS_PER_FILE = 0.005
"""A bucket takes tens of milliseconds to move an object; a file system nothing for a file of a directory."""

_REFUSING = (errno.EMFILE, errno.EXDEV, errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)


def directory_rename(workspace: Path) -> DirectoryRename | None:
    """What renames of small directories inside the workspace, which no other pod has, come to; None where they tell
    nothing. Never an error: the stage has work of its own.
    """
    folder = workspace / "directory-rename"
    try:
        return _tried(folder)
    except OSError:
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tried(folder: Path) -> DirectoryRename:
    small, large = folder / "small", folder / "large"
    for directory, files in ((small, 1), (large, FILES + 1)):
        directory.mkdir(parents=True)
        for number in range(files):
            (directory / str(number)).write_bytes(b"x")
    try:
        # There and back: one slow answer tells nothing.
        slower = min(
            _seconds(large, folder / "large-renamed") - _seconds(small, folder / "small-renamed"),
            _seconds(folder / "large-renamed", large) - _seconds(folder / "small-renamed", small),
        )
    except OSError as error:
        if error.errno in _REFUSING:
            return "Refused"
        raise
    return "FileByFile" if slower > FILES * SECONDS_PER_FILE else "AtOnce"


def _seconds(source: Path, target: Path) -> float:
    started = time.monotonic()
    source.rename(target)
    return time.monotonic() - started
