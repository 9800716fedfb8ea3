"""Pointers of Git LFS: what a clone has in the place of files that weren't fetched."""

import re
from pathlib import Path

BEGIN = b"version https://git-lfs.github.com/spec/"
_SIZE = re.compile(rb"^size (\d+)$", re.MULTILINE)

LONGEST = 1024
"""Bytes of a pointer, by its specification."""

ADVICE = "run `git lfs pull` in the clone, and copy it again"


def missing_bytes(path: Path) -> int | None:
    """The bytes of the content in whose place a pointer lies; None for a file that has its own."""
    if path.stat().st_size > LONGEST:
        return None
    content = path.read_bytes()
    size = _SIZE.search(content)
    return int(size[1]) if content.startswith(BEGIN) and size else None
