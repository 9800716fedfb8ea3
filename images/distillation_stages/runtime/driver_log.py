"""What the accelerator's driver has written about errors: libtpu's own log, which ends with the pod.

On GKE its folder is one of the node's, in which pods of others may write: only what is a plain file there, and newer
than this program, is read.
"""

import os
import re
import stat
import time
from pathlib import Path

from distillation_api.contract import LOG_TAILS_ENV, NO_LOG_TAILS
from distillation_api.reasons.reason import Cost, ProgramReason
from distillation_stages.runtime.regular_files import NotRegular, opened
from distillation_stages.runtime.reporting import MESSAGE_LIMIT, printable, say

FOLDER_ENV = "TPU_LOG_DIR"
FOLDER = "/tmp/tpu_logs"
"""libtpu's default."""
FILES = "tpu_driver*ERROR*"
"""The name of the newest is a link to the file of one process."""
READ = 16_384
"""Bytes of a file's end."""
MOST_QUOTED = 400
LEAST_QUOTED = 200
"""Characters of what is told, where the message needs most of its thousand."""
END_KEPT = 350
"""Characters of a message's end, where it says what to do; what is left out lies before, in words of others."""
EXPLAINED = (Cost.RETRIED, Cost.DISRUPTION, Cost.FINAL_CONFIGURATION)
"""What a driver may have to do with; a wrong row or an absent Hub it has not."""
_BETWEEN = "; libtpu: "
_MOST_FILES = 1000
_STARTED = time.time()
_HEADER = re.compile(r"(Log file created|Running on machine|Binary: |Running duration|Log line format)")
_STAMP = re.compile(r"^[IWEF]\d{4,8} \d\d:\d\d:\d\d\.\d+ +\d+ +")


def with_driver_words(reason: ProgramReason, message: str) -> str:
    """The message of a program that ends for this reason, with the last that the driver said of errors, if it did."""
    words = driver_words() if reason.cost in EXPLAINED else ""
    if not words:
        return message
    say(f"libtpu's last errors:\n{words}")
    if os.environ.get(LOG_TAILS_ENV) == NO_LOG_TAILS:
        return message
    # Before anything is cut: half a secret is none that can be found.
    message = printable(message)
    line = " | ".join(words.splitlines())
    room = min(MOST_QUOTED, max(LEAST_QUOTED, MESSAGE_LIMIT - len(_BETWEEN) - len(message)))
    told = line if len(line) <= room else "…" + line[1 - room :]
    return _shortened(message, MESSAGE_LIMIT - len(_BETWEEN) - len(told)) + _BETWEEN + told


def driver_words(since: float = _STARTED) -> str:
    """The last lines of libtpu's newest log of errors, without secrets; empty where it has written none since then."""
    path = _newest(Path(os.environ.get(FOLDER_ENV) or FOLDER), since)
    if path is None:
        return ""
    try:
        with opened(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - READ))
            text = file.read(READ).decode(errors="replace")
    except (OSError, NotRegular):
        return ""
    lines = [_STAMP.sub("", line.rstrip()) for line in printable(text).splitlines()]
    if size > READ:
        # The first may be half a line, and hold half a secret.
        lines = lines[1:]
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines if _says(line))


def _says(line: str) -> bool:
    return bool(line.strip()) and not _HEADER.match(line)


def _shortened(message: str, length: int) -> str:
    return message if len(message) <= length else f"{message[: length - END_KEPT - 1]}…{message[-END_KEPT:]}"


def _newest(folder: Path, since: float) -> Path | None:
    found = []
    try:
        paths = sorted(folder.glob(FILES))[-_MOST_FILES:]
    except OSError:
        return None
    for path in paths:
        # One that leads nowhere, or is no file, hides none of the others.
        try:
            file = path.resolve()
            status = file.stat()
            inside = file.parent == folder.resolve()
        except (OSError, RuntimeError):  # the latter of links in a circle
            continue
        if inside and stat.S_ISREG(status.st_mode) and status.st_mtime >= since:
            found.append((status.st_mtime, file))
    return max(found)[1] if found else None
