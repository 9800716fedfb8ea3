"""What a training run has logged so far, kept next to its checkpoints: a summary, and the history of all steps.

Both are published whole from time to time, so that a restarted run knows its beginning. What a killed process had not
published is missing: at most the steps of the last seconds.
"""

import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

from distillation_stages.maxtext.log import TOKEN_RATE, Step
from distillation_stages.runtime.storage import publish_bytes

SUMMARY = "summary.json"
HISTORY = "history.jsonl"
SECONDS_BETWEEN_WRITES = 2.0
PAUSE_PER_WRITE = 20
"""Writing pauses at least this many times as long as the last write took: on a slow storage it takes a twentieth."""


@dataclass(frozen=True)
class Summary:
    """A run's numbers over all its starts."""

    steps: int = 0
    """Steps seen in the log."""
    last_step: int = 0
    first_loss: float | None = None
    last_loss: float | None = None
    trained_steps: int = 0
    """Steps that had tokens to learn."""
    starts: int = 0
    """How often MaxText was started."""

    def with_step(self, step: Step) -> "Summary":
        """With one more step of the log."""
        return replace(
            self,
            steps=self.steps + 1,
            last_step=step.number,
            first_loss=step.loss if self.first_loss is None else self.first_loss,
            last_loss=step.loss,
            trained_steps=self.trained_steps + (step.total_weights > 0),
        )

    @classmethod
    def read(cls, path: Path) -> "Summary":
        """The summary in that file; an empty one when there is none."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return cls()

    def write(self, path: Path) -> None:
        """Publish it."""
        publish_bytes(path, json.dumps(vars(self)).encode())


class History:
    """One JSON object per step, in the order of the steps: step, and what its line said (see Step.metrics)."""

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._lines: list[bytes] = []

    @classmethod
    def read(cls, path: Path, done: int) -> "History":
        """The history in that file up to step ``done``: what came after is done again. Broken lines are left out."""
        history = cls()
        try:
            lines = path.read_bytes().splitlines()
        except OSError:
            return history
        for line in lines:
            try:
                step = int(json.loads(line)["step"])
            except (ValueError, KeyError, TypeError):
                continue
            if step <= done:
                history._append(step, line)
        return history

    def add(self, step: Step) -> None:
        """Append a step; one that was done before is replaced, with all after it."""
        self._append(step.number, json.dumps({"step": step.number, **step.metrics()}).encode())

    def _append(self, step: int, line: bytes) -> None:
        while self._steps and self._steps[-1] >= step:
            self._steps.pop()
            self._lines.pop()
        self._steps.append(step)
        self._lines.append(line)

    def token_rates(self) -> dict[int, float]:
        """Tokens per second and device, by step, where it stands there."""
        told = {step: json.loads(line).get(TOKEN_RATE) for step, line in zip(self._steps, self._lines, strict=True)}
        return {step: rate for step, rate in told.items() if isinstance(rate, int | float) and 0 < rate < math.inf}

    def write(self, path: Path) -> None:
        """Publish it."""
        publish_bytes(path, b"".join(line + b"\n" for line in self._lines))


class Record:
    """Summary and history of the run in that directory, from step ``done`` on."""

    def __init__(self, directory: Path, done: int) -> None:
        self._directory = directory
        self.summary = Summary.read(directory / SUMMARY)
        self.history = History.read(directory / HISTORY, done)
        self._pause_until = 0.0

    @property
    def history_file(self) -> Path:
        """Where the history is published."""
        return self._directory / HISTORY

    def start(self) -> None:
        """MaxText is started (again)."""
        self.summary = replace(self.summary, starts=self.summary.starts + 1)
        self.write()

    def add(self, step: Step) -> None:
        """One more step."""
        self.summary = self.summary.with_step(step)
        self.history.add(step)

    def write_when_due(self) -> None:
        """Publish both, not too often."""
        if time.monotonic() >= self._pause_until:
            self.write()

    def write(self) -> None:
        """Publish both."""
        started = time.monotonic()
        self.summary.write(self._directory / SUMMARY)
        self.history.write(self.history_file)
        ended = time.monotonic()
        self._pause_until = ended + max(SECONDS_BETWEEN_WRITES, PAUSE_PER_WRITE * (ended - started))
