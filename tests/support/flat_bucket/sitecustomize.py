"""A mount of a bucket without directories, for a Python that has this folder on its path.

Files are renamed at once. A directory below ``STORAGE_MOUNT`` is renamed as GCS FUSE does it below its
``rename-dir-limit``: the new one is made, the files move one by one in random order, each in its time, then the old one
goes. With the environment variable ``DIRECTORY_RENAME=refused`` it is refused, as beyond that limit.
"""

import errno
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS_PER_FILE = 0.05

_STORAGE = Path(os.environ.get("STORAGE_MOUNT", "/storage")).resolve()
_REFUSED = os.environ.get("DIRECTORY_RENAME") == "refused"
_rename_of_files = os.rename


def _move_one_by_one(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    if any(target.iterdir()):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(target))
    files = [path for path in source.rglob("*") if not path.is_dir()]
    random.SystemRandom().shuffle(files)
    for path in files:
        time.sleep(SECONDS_PER_FILE)
        moved = target / path.relative_to(source)
        moved.parent.mkdir(parents=True, exist_ok=True)
        _rename_of_files(path, moved)
    shutil.rmtree(source)


def _of_a_flat_bucket(rename: Callable[..., None]) -> Callable[..., None]:
    def renamed(source: Any, target: Any, **keywords: Any) -> None:
        if not os.path.isdir(source) or not Path(source).resolve().is_relative_to(_STORAGE):
            rename(source, target, **keywords)
        elif _REFUSED:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(source))
        else:
            _move_one_by_one(Path(source), Path(target))

    return renamed


os.rename, os.replace = _of_a_flat_bucket(os.rename), _of_a_flat_bucket(os.replace)
