"""What a program says: progress lines, its result, or why it gave up."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from distillation_api.model import Model

Count = Annotated[int, Field(ge=-(2**53), le=2**53)]
"""What JSON numbers hold exactly; those of all shards together fit into 64 bits."""

ReasonName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=128)]


class Progress(Model):
    """One progress line on standard output."""

    type: Literal["progress"] = "progress"
    stage: str
    done: Count
    total: Count
    unit: Literal["rows", "steps", "bytes"]
    rate: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Units per second, lately."""
    metrics: dict[str, float] = Field(default_factory=dict)


class StageResult(Model):
    """What a stage (or one shard of it) has made; the done marker and, trimmed to fit, the termination message."""

    type: Literal["result"] = "result"
    version: Literal["v1"] = "v1"
    stage: str
    fingerprint: str
    outputs: dict[str, str] = Field(default_factory=dict)
    counts: dict[str, Count] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict)
    parts: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each part, by path relative to the output directory; only in the marker."""
    versions: dict[str, str] = Field(default_factory=dict)
    reused: bool = False
    """True when the marker stood already and nothing was done."""
    seconds: float = 0.0


class StageFailure(Model):
    """Why a stage program gave up, in the termination message."""

    type: Literal["failure"] = "failure"
    stage: str
    reason: ReasonName
    """CamelCase, e.g. MissingColumn."""
    message: str
    permanent: bool
