"""What the programs of a preview measure, as they say it and as the operator reads it: metrics of their results."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Self

from pydantic import Field, ValidationError
from pydantic.alias_generators import to_camel

from distillation_api.model import Model

MEASURED = "measured."
"""Before the name of each of these metrics."""

UNLIMITED = -1.0
"""As a limit that there isn't; JSON has no infinity."""

Amount = Annotated[float, Field(ge=0, le=2.0**63, allow_inf_nan=False)]
Limit = Annotated[float, Field(ge=UNLIMITED, le=2.0**63, allow_inf_nan=False)]


class Measurements(Model):
    """A run's speed, and what it has found of its machine. Times are in seconds, sizes in bytes.

    Absent is what a program can't tell. To measure one more thing is a member here, its place in
    ``distillation_stages.runtime.measuring``, and where it confirms something of the cluster, a row of the operator's
    ``status.preview_facts``.
    """

    seconds: Amount | None = None
    """Of the whole program; the operator takes it from the result."""
    units: Amount | None = None
    """Answers, steps or holdout rows that were done."""
    unit_seconds: Amount | None = None
    """What one more of them takes: without loading and compiling."""
    host_memory: Amount | None = None
    """The most that the program and what it started have held."""
    device_memory: Amount | None = None
    """The most that one device has held."""
    devices: Amount | None = None
    """That JAX has found, on all hosts."""
    device_files: Amount | None = None
    """Of TPU chips, in the pod."""
    locked_memory: Limit | None = None
    """The hard limit of it."""
    shared_memory: Amount | None = None
    """Of /dev/shm."""
    uid: Amount | None = None

    def metrics(self) -> dict[str, float]:
        """Those that are known, as metrics."""
        return {MEASURED + to_camel(name): value for name, value in self if value is not None}

    @classmethod
    def read(cls, metrics: Mapping[str, str]) -> Self:
        """Those that a status holds. A pod's words are anybody's: what is no such number is as good as absent."""
        known: dict[str, float] = {}
        for name in cls.model_fields:
            with suppress(ValidationError):
                known |= cls.model_validate({name: metrics.get(MEASURED + to_camel(name))}).model_dump(
                    exclude_none=True
                )
        return cls(**known)
