"""What a program says: progress lines, its result, or why it gave up."""

from typing import Literal

from pydantic import Field

from distillation_api.model import Model


class Progress(Model):
    """One progress line on standard output."""

    type: Literal["progress"] = "progress"
    stage: str
    done: int
    total: int
    unit: Literal["rows", "steps", "bytes"]
    rate: float | None = None
    """Units per second, lately."""
    metrics: dict[str, float] = Field(default_factory=dict)


class StageResult(Model):
    """What a stage (or one shard of it) has made; the done marker and, trimmed to fit, the termination message."""

    type: Literal["result"] = "result"
    version: Literal["v1"] = "v1"
    stage: str
    fingerprint: str
    outputs: dict[str, str] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
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
    reason: str
    """CamelCase, e.g. MissingColumn."""
    message: str
    permanent: bool
