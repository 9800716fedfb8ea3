"""Reading what a MaxText trainer prints: progress, and the reason of its end.

Its exit code says little: errors while reading data are swallowed and training "succeeds" with nothing trained, and the
last lines after a crash are noise of the interpreter's shutdown.
"""

import math
import re
from dataclasses import dataclass, field, replace

from distillation_api import reasons
from distillation_stages.maxtext.start_up import TrainerStart
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.failure_words import MACHINES_OWN, denies, known_failure
from distillation_stages.runtime.reporting import last_words, printable

_STEP = re.compile(r"completed step: (?P<step>\d+)\b")
_NUMBER = r"(?P<value>-?(?:\d+\.?\d*(?:e[+-]?\d+)?|nan|inf))"
_FIELDS = {
    name: re.compile(rf"(?:^|[\s,]){re.escape(label)}: {_NUMBER}", re.IGNORECASE)
    for name, label in {
        "loss": "loss",
        "total_weights": "total_weights",
        "tokens_per_second": "Tokens/s/device",
        "seconds": "seconds",
        "kl_to_teacher": "kl_to_teacher",
        "learning_rate": "learning_rate",
    }.items()
}
_LEARNING_RATE = re.compile(rf"learning rate of step (?P<step>\d+): {_NUMBER}", re.IGNORECASE)
_DATA_ERROR = re.compile(r"Exception in load_next_train_batch: ?(?P<cause>.*)")
_NOT_FINITE = re.compile(r"Aborting training due to (NaN|Inf) loss")
_ERROR = re.compile(r"(?:^|\s)(?P<error>[\w.]*(?:Error|Exception): .*)")
_DEVICES = re.compile(r"devices: (?P<count>\d{1,9}), peak bytes of one: (?P<peak>\d{1,18}|None)$")
_CONFIG_ERROR = re.compile(r"MAXTEXT CONFIG ERROR: (?P<error>.*)")
"""Logged before the error itself, which may be of any kind."""
_SHUTDOWN_NOISE = (
    "at interpreter shutdown",
    "can't create new thread",
    "cannot schedule new futures",
    "Exception ignored in",
    "BrokenPipeError",
    "during interpreter",
    "Python is likely shutting down",
    "sys.meta_path is None",
)
_ERRORS_KEPT = 20
_NOT_FITTING = ("AttributeError", "ModuleNotFoundError", "No module named", "cannot import name")
_NO_BACKEND = "Unable to initialize backend"
"""JAX's own end when libtpu has given up, whatever the cause: what libtpu said before tells more."""
_EARLIER_SHOWN = 400
_LAST_SHOWN = 200
"""Characters of two errors in one message, which leave room for what to do."""
_END_OF_DATA = ("Run out of shards", "StopIteration")

_PERMANENT = (
    "ValidationError",
    "No valid Orbax checkpoint",
    "Unable to find",
    "Shape mismatch",
)

TOKEN_RATE = "tokensPerSecondPerDevice"
"""Name of a step's speed in progress and history."""


@dataclass(frozen=True)
class Devices:
    """What JAX has found, as ``start`` tells at the end."""

    count: int
    """On all hosts."""
    peak_bytes: int | None
    """The most that one device of this host has held; None where JAX doesn't know."""

    def __str__(self) -> str:
        return f"devices: {self.count}, peak bytes of one: {self.peak_bytes}"

    @classmethod
    def parse(cls, line: str) -> "Devices | None":
        """Of a line that ends with it; None for any other."""
        found = _DEVICES.search(line)
        return cls(int(found["count"]), int(found["peak"]) if found["peak"].isdecimal() else None) if found else None


@dataclass(frozen=True)
class Step:
    """One ``completed step`` line; NaN is what it didn't show."""

    number: int
    loss: float
    total_weights: float
    tokens_per_second: float
    """Per device."""
    seconds: float
    kl_to_teacher: float = math.nan
    """In nats per token; logit matching only."""
    learning_rate: float = math.nan

    def metrics(self) -> dict[str, float]:
        """What was logged, by the names of progress and history."""
        told = {
            "loss": self.loss,
            "learningRate": self.learning_rate,
            TOKEN_RATE: self.tokens_per_second,
            "klToTeacher": self.kl_to_teacher,
        }
        return {name: value for name, value in told.items() if math.isfinite(value)}


def parse_step(line: str) -> Step | None:
    """The step that a line reports; None when it reports none."""
    found = _STEP.search(line)
    if found is None:
        return None
    values = {}
    for name, pattern in _FIELDS.items():
        match = pattern.search(line)
        values[name] = float(match["value"]) if match else math.nan
    return Step(number=int(found["step"]), **values)


@dataclass
class TrainerLog:
    """What is known of a run from the lines so far."""

    has_peers: bool = False
    """Whether other hosts train with this one."""
    steps: dict[int, Step] = field(default_factory=dict)
    data_error: str | None = None
    not_finite: bool = False
    config_error: str | None = None
    errors: list[str] = field(default_factory=list)
    """Those since the last step, as many as are of use."""
    machine_failure: str | None = None
    denial: str | None = None
    """What libtpu has logged of devices or memory that it was refused; it may have gone on without."""
    devices: Devices | None = None
    start: TrainerStart | None = None
    """Where this start has gone up to its first step."""
    _rates: dict[int, float] = field(default_factory=dict)

    def read(self, line: str) -> Step | None:
        """Take in one line; returns the step it reports, if any."""
        step = parse_step(line)
        if step is not None:
            if step.number in self._rates:
                step = replace(step, learning_rate=self._rates.pop(step.number))
            self.steps[step.number] = step
            self.errors.clear()
            self.machine_failure = self.denial = None
            self.not_finite = self.not_finite or not math.isfinite(step.loss)
            return step
        if found := _LEARNING_RATE.search(line):
            self._rates[int(found["step"])] = float(found["value"])
        elif started := TrainerStart.parse(line):
            self.start = self.start or started
        elif found := _DATA_ERROR.search(line):
            cause = found["cause"].strip()
            if self.data_error is None:
                self.data_error = cause or "no cause given"
        elif _NOT_FINITE.search(line):
            self.not_finite = True
        elif devices := Devices.parse(line):
            self.devices = devices
        elif found := _CONFIG_ERROR.search(line):
            self.config_error = found["error"].strip()[:300]
        else:
            self._read_error(line)
        return None

    def _read_error(self, line: str) -> None:
        if found := MACHINES_OWN.search(line):
            told = found[0].strip()
            if denies(told):
                self.denial = told[:300]
            else:
                self.machine_failure = told[:300]
        if (found := _ERROR.search(line)) and not any(noise in line for noise in _SHUTDOWN_NOISE):
            self.errors = [*self.errors, found["error"].strip()[:600]][-_ERRORS_KEPT:]

    @property
    def data_ended(self) -> bool:
        """True when what the loader raised is only the end of the data."""
        return self.data_error is not None and any(sign in self.data_error for sign in _END_OF_DATA)

    def last_step(self) -> Step | None:
        """The step with the highest number."""
        return self.steps[max(self.steps)] if self.steps else None

    def failure(self, exit_code: int, steps: int) -> StageError | None:
        """Why a trainer that ended with ``exit_code`` has failed, by its log; None when nothing says so."""
        last = self.last_step()
        reached = f"after step {last.number} of {steps}" if last else "before the first step"
        if self.not_finite:
            finite = [number for number, step in self.steps.items() if math.isfinite(step.loss)]
            return StageError(
                reasons.LOSS_NOT_FINITE,
                f"the loss became NaN or infinite; last finite at step {max(finite, default=0)} of {steps}. Lower the "
                "learning rate, raise warmupStepsFraction or look for broken rows in the data",
            )
        if self.data_error is not None and not self.data_ended:
            return StageError(reasons.TRAINING_DATA_REFUSED, f"MaxText's loader gave up {reached}: {self.data_error}")
        if exit_code == 0:
            return None
        return self._crash(exit_code, reached)

    def _crash(self, exit_code: int, reached: str) -> StageError:
        if self.config_error is not None:
            return StageError(reasons.MAX_TEXT_REFUSED, f"MaxText refused its configuration: {self.config_error}")
        begin = f"MaxText ended with exit code {exit_code} {reached}: "
        error = self.errors[-1] if self.errors else self.machine_failure or self.denial or "no error in its log"
        text = begin + last_words(error)
        if "RESOURCE_EXHAUSTED" in error:
            # The same program on the same slice needs the same memory again: each try would cost a start of the slice.
            return StageError(
                reasons.OUT_OF_MEMORY,
                f"{text}. Lower perDeviceBatchSize or maxTargetLength, or take a larger topology and shard over it",
            )
        if exit_code == -9 or "MemoryError" in error:
            # Killed from outside is, in a pod, the memory limit nearly always.
            return StageError(
                reasons.OUT_OF_HOST_MEMORY, f"{text}. Lower perDeviceBatchSize or maxTargetLength, or give more memory"
            )
        known = known_failure(error, text, self.has_peers)
        if known is None and any(sign in error for sign in _PERMANENT):
            return StageError(reasons.MAX_TEXT_REFUSED, text)
        known = known or self._earlier_failure(begin, error)
        if known is not None:
            return known
        if any(sign in error for sign in _NOT_FITTING) and "'NoneType' object" not in error:
            return StageError(
                reasons.INCOMPATIBLE_IMAGE, f"{text}. The image's MaxText, Tunix and JAX don't fit together"
            )
        return StageError(reasons.MAX_TEXT_FAILED, text)

    def _earlier_failure(self, begin: str, last: str) -> StageError | None:
        """What an error before the last one means: after an asynchronous save has failed, others follow at the end.

        What was denied explains no other error than that there are no devices.
        """
        explains = _NO_BACKEND in last or not self.errors
        for error in filter(None, (*reversed(self.errors[:-1]), self.machine_failure, self.denial)):
            if denies(error) and not explains:
                continue
            # Before anything is cut: half a secret is none that can be found.
            both = f"{printable(error)[:_EARLIER_SHOWN]}; in the end: {printable(last)[:_LAST_SHOWN]}"
            known = known_failure(error, begin + last_words(both), self.has_peers)
            if known is not None:
                return known
        return None
