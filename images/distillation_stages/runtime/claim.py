"""The claim of one writer on a directory that isn't of its own: two jobs may need the same stage, and what is
unfinished of it belongs to one of them.

The operator lets only one of a namespace's jobs work at a stage. Another cluster's knows nothing of that, so the
directory itself tells: a small file with the writer's name and the time, written anew every few seconds. Who stops
writing it has ended, or has lost the storage, and the next one takes over.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from distillation_api import reasons
from distillation_api.contract import EXIT_TERMINATED
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.regular_files import NotRegular, read_regular
from distillation_stages.runtime.reporting import say
from distillation_stages.runtime.storage import publish_bytes, writer
from distillation_stages.runtime.watchdog import exit_at_once

CLAIM = "_CLAIM.json"
SECONDS_BETWEEN_BEATS = 15.0
SECONDS_ALIVE = 120.0
"""So old a claim may be: several beats, what mounts of buckets remember of a file, and clocks that differ a little."""
SECONDS_TO_SETTLE = 2.0
"""Two that claim at the same moment both read, after this time, which of them wrote last."""


CLAIM_LIMIT = 1 << 16


@dataclass(frozen=True)
class Pace:
    """How often a claim is renewed, and how long it holds without."""

    beat: float = SECONDS_BETWEEN_BEATS
    alive: float = SECONDS_ALIVE
    settle: float = SECONDS_TO_SETTLE


def end_this_program() -> None:
    """As a termination does: what is at work ends as it does then."""
    os.kill(os.getpid(), signal.SIGTERM)


def end_without_a_word() -> None:
    """As a termination ends, of a program that may be in foreign code for long, and would write when it returns."""
    sys.stdout.flush()
    exit_at_once(EXIT_TERMINATED)


@contextmanager
def claimed(
    directory: Path, pace: Pace = Pace(), lost: Callable[[], None] = end_this_program, patience: float = 0.0
) -> Iterator[None]:
    """Hold the directory for this writer while the block runs.

    Raises StageError when another writer holds it, and still does so ``patience`` seconds later: with more than a claim
    holds, one that is dead is waited out. ``lost`` is called when another has taken it meanwhile. A program
    without a writer's name (a run by hand) claims nothing.
    """
    own = writer()
    if not own:
        yield
        return
    file = directory / CLAIM
    _wait_until_free(file, own, pace, patience)
    _write(file, own)
    time.sleep(pace.settle)
    _require_free(file, own, pace)
    ended = threading.Event()
    thread = threading.Thread(target=_renew, args=(file, own, pace, ended, lost), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if _read(file)[0] == own:
            file.unlink(missing_ok=True)


def _wait_until_free(file: Path, own: str, pace: Pace, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            return _require_free(file, own, pace)
        except StageError as error:
            if time.monotonic() >= until:
                raise
            say(f"{error.message}; it is looked at again")
            time.sleep(min(pace.beat, max(until - time.monotonic(), 0.0)))


def _require_free(file: Path, own: str, pace: Pace) -> None:
    holder, written = _read(file)
    age = time.time() - written
    # One from the future was written by a clock that is wrong: it would hold for ever.
    if holder in ("", own) or abs(age) > pace.alive:
        return
    raise StageError(
        reasons.WAITS_FOR_OTHER_JOB,
        f"the DistillationJob with UID {holder} works at this stage in {file.parent} (its claim is {max(age, 0):.0f} s "
        "old); what it makes is taken when it is done",
    )


def _renew(file: Path, own: str, pace: Pace, ended: threading.Event, lost: Callable[[], None]) -> None:
    while not ended.wait(pace.beat):
        # A storage that fails for a moment fails the work itself too, which tells of it.
        with contextlib.suppress(OSError):
            holder, _ = _read(file)
            if holder not in ("", own):
                say(f"the DistillationJob with UID {holder} has taken {file.parent}: ours had not renewed its claim")
                lost()
                return
            _write(file, own)


def _read(file: Path) -> tuple[str, float]:
    """The holder and when it wrote; nobody where there is no claim, or one that nobody here has written."""
    try:
        told = json.loads(read_regular(file, CLAIM_LIMIT))
        return str(told["writer"]), float(told["time"])
    except (FileNotFoundError, NotRegular, ValueError, KeyError, TypeError):
        return "", 0.0


def _write(file: Path, own: str) -> None:
    publish_bytes(file, json.dumps({"writer": own, "time": time.time()}).encode())
