"""What a program reports to the operator: progress lines on standard output, and the termination message."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from distillation_api.contract import (
    LOG_TAILS_ENV,
    NO_LOG_TAILS,
    TERMINATION_MESSAGE_LIMIT,
    Progress,
    StageFailure,
    StageResult,
)
from distillation_stages.runtime.secrets import without_secrets
from distillation_stages.runtime.start_up import StartUpClock

SECONDS_BETWEEN_LINES = 2.0
MESSAGE_LIMIT = 1000
"""Characters of a failure's message."""


class Reporter:
    """Prints progress lines, at most one every ``SECONDS_BETWEEN_LINES``, the first and the last always."""

    def __init__(self, stage: str, unit: Literal["rows", "steps", "bytes"], clock: StartUpClock | None = None) -> None:
        """``clock``: of a program whose way to its first unit is told with each line."""
        self._clock = clock
        self._stage = stage
        self._unit: Literal["rows", "steps", "bytes"] = unit
        self._begun_with: int | None = None
        self._first: tuple[float, int] | None = None
        """When the first unit of this start was done, and how many then: what came before is the start itself."""
        self._last_line: float | None = None

    def progress(self, done: int, total: int, metrics: Mapping[str, float] | None = None) -> None:
        """Report that ``done`` of ``total`` units are done."""
        now = time.monotonic()
        if self._begun_with is None:
            self._begun_with = done
        if self._first is None and done > self._begun_with:
            self._first = now, done
        recent = self._last_line is not None and now - self._last_line < SECONDS_BETWEEN_LINES
        if recent and done < total:
            return
        self._last_line = now
        since, first = self._first or (now, done)
        rate = (done - first) / (now - since) if now > since else None
        line = Progress(
            stage=self._stage,
            done=done,
            total=total,
            unit=self._unit,
            rate=round(rate, 4) if rate else None,
            metrics=dict(metrics or {}),
            start_up=self._clock.read() if self._clock is not None else None,
        )
        print(line.model_dump_json(by_alias=True, exclude_none=True), flush=True)


def say(text: str) -> None:
    """A line for people, on standard error, so that it never mixes with the progress lines."""
    print(printable(text), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Foreign text as UTF-8 can hold it, and without secrets: half a surrogate pair becomes a question mark."""
    return without_secrets(text.encode(errors="replace").decode())


def last_words(text: str) -> str:
    """What a program says that ends with an error nobody knows; a pointer to the log where the installation keeps such
    words, which may quote rows of the dataset, out of the status.
    """
    return "its last words stand in the pod's log" if os.environ.get(LOG_TAILS_ENV) == NO_LOG_TAILS else text


def termination_message(outcome: StageResult | StageFailure) -> str:
    """The outcome as JSON of at most ``TERMINATION_MESSAGE_LIMIT`` bytes: parts go first, then long texts are cut."""
    if isinstance(outcome, StageResult):
        outcome = outcome.model_copy(update={"parts": {}})
        text = _json(outcome)
        if len(text.encode()) > TERMINATION_MESSAGE_LIMIT:
            text = _json(outcome.model_copy(update={"settings": {}, "versions": {}}))
        return text
    # Kubernetes cuts at the limit and would leave broken JSON; a character takes up to six bytes of it.
    message = printable(outcome.message)
    bare = outcome.model_copy(update={"outputs": None, "metrics": None})
    for told, length in ((outcome, MESSAGE_LIMIT), (bare, MESSAGE_LIMIT), (bare, MESSAGE_LIMIT // 2)):
        text = _json(told.model_copy(update={"message": message[:length]}))
        if len(text.encode()) <= TERMINATION_MESSAGE_LIMIT:
            break
    return text


def _json(outcome: StageResult | StageFailure) -> str:
    # An operator that doesn't know a member refuses all: what says nothing isn't there.
    return outcome.model_dump_json(by_alias=True, exclude_none=True)


def termination_log() -> Path:
    """Where the kubelet reads a container's last message."""
    return Path(os.environ.get("TERMINATION_LOG", "/dev/termination-log"))


def write_termination_message(outcome: StageResult | StageFailure, path: Path) -> None:
    """Write the outcome where the kubelet reads it; a pod without that file (a run by hand) gets it on stdout."""
    text = termination_message(outcome)
    try:
        path.write_text(text)
    except OSError:
        print(text, flush=True)
