"""What a program says: progress lines, its result, or why it gave up."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from distillation_api.model import Model

Count = Annotated[int, Field(ge=-(2**53), le=2**53)]
"""What JSON numbers hold exactly; those of all shards together fit into 64 bits."""

ReasonName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=128)]


Seconds = Annotated[float, Field(ge=0, le=10**8, allow_inf_nan=False)]
CacheCount = Annotated[int, Field(ge=0, le=2**31)]


class StartUp(Model):
    """What a start has taken from the beginning of its process to its first token or step, in seconds by part; until
    that comes, to now.
    """

    imports: Seconds = 0.0
    """Of Python's modules."""
    weights: Seconds = 0.0
    """Reading the model from the storage onto the devices."""
    compile: Seconds = 0.0
    """Tracing, lowering and compiling, or loading what was compiled before."""
    other: Seconds = 0.0
    """All the rest: checks of inputs, engines and devices that are made ready, the first step itself."""
    cache_hits: CacheCount = 0
    """Programs that a cache of compiled ones had, by JAX's own count."""
    cache_misses: CacheCount = 0
    """Those that were compiled and put there."""

    @property
    def seconds(self) -> float:
        """Of all parts."""
        return self.imports + self.weights + self.compile + self.other


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
    start_up: StartUp | None = None
    """Of this start, where it works with an engine."""


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
    start_up: StartUp | None = None
    """Of the start that has made it; only in the termination message."""


class StageFailure(Model):
    """Why a stage program gave up, in the termination message."""

    type: Literal["failure"] = "failure"
    stage: str
    reason: ReasonName
    """CamelCase, e.g. MissingColumn."""
    message: str
    permanent: bool
    outputs: dict[str, str] | None = None
    """What it has made nevertheless, as a result has it."""
    metrics: dict[str, float] | None = None
    """What it has measured nevertheless."""
    start_up: StartUp | None = None
    """Of this start, where it works with an engine."""
