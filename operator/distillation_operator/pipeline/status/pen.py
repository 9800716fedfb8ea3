"""The one way in which decisions write a status: typed, so that no state that doesn't exist can be told, and within
limits, so that a status stays small whatever programs and Kubernetes say.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Literal, TypedDict, Unpack

from distillation_api.status import (
    Attempts,
    Condition,
    DistillationJobStatus,
    Failure,
    IdleOfAttempt,
    JobPhase,
    Results,
    ShardRetries,
    StageProgress,
    StageState,
    StageStatus,
)
from distillation_operator.pipeline.cause import Cause

MESSAGE_LIMIT = 768
"""Bytes of a message."""
FAILURE_LIMIT = 512
"""Bytes of the message of a failure that is kept."""
CONDITION_LIMIT = 1024
"""Characters of a condition's message."""
REASON_LIMIT = 128
VALUE_LIMIT = 256
ENTRIES_LIMIT = 32
"""Entries of each of a stage's outputs, counts and metrics."""


class StageMembers(TypedDict, total=False):
    """Members of a stage's status."""

    state: StageState
    reason: str | None
    message: str | None
    attempt: int
    attempts: Attempts
    shard_retries: ShardRetries | None
    away_since: str | None
    start_time: str | None
    completion_time: str | None
    estimated_completion_time: str | None
    progress: StageProgress | None
    reused: bool
    outputs: dict[str, str] | None
    counts: dict[str, int] | None
    metrics: dict[str, str] | None
    chip_seconds: int | None
    chip_seconds_idle: dict[str, int] | None
    idle_of_attempt: IdleOfAttempt | None
    fingerprint: str | None
    directory: str | None


class JobMembers(TypedDict, total=False):
    """Members of a job's status."""

    observed_generation: int | None
    phase: JobPhase | None
    reason: str | None
    method: Literal["Offline", "Online", "Mixed"] | None
    current_stage: str | None
    progress: str | None
    loss: str | None
    chip_hours: str | None
    estimated_completion_time: str | None
    accounted_time: str | None
    start_time: str | None
    completion_time: str | None
    conditions: list[Condition]
    stages: list[StageStatus]
    last_failures: list[Failure]
    last_retry_request: str | None
    earlier_retries: list[str]
    results: Results | None


class ConditionMembers(TypedDict, total=False):
    """Members of a condition that change while it stands."""

    reason: str
    message: str
    observed_generation: int


def rewrite_stage(status: StageStatus, **members: Unpack[StageMembers]) -> StageStatus:
    """The stage's status with other members. Raises pydantic.ValidationError for what a status can't hold."""
    if all(getattr(status, name) == value for name, value in members.items()):
        return status
    return StageStatus(**{**dict(status), **members})


def rewrite_job(status: DistillationJobStatus, **members: Unpack[JobMembers]) -> DistillationJobStatus:
    """The job's status with other members. Raises pydantic.ValidationError for what a status can't hold."""
    return DistillationJobStatus(**{**dict(status), **members})


def rewrite_condition(condition: Condition, **members: Unpack[ConditionMembers]) -> Condition:
    """The condition with other members, its message cut."""
    rewritten = {**dict(condition), **members}
    return Condition(**{**rewritten, "message": rewritten["message"][:CONDITION_LIMIT]})


def with_state(status: StageStatus, state: StageState, cause: Cause | None = None) -> StageStatus:
    """The stage in a state, and why, where there is something to say."""
    reason, message = (cause.reason[:REASON_LIMIT] or None, cause.message or None) if cause else (None, None)
    return rewrite_stage(status, state=state, reason=reason, message=cut(message) if message else None)


def cut(message: str, limit: int = MESSAGE_LIMIT) -> str:
    """A message of at most ``limit`` bytes."""
    encoded = message.encode(errors="replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[: limit - len("…".encode())].decode(errors="ignore") + "…"


def limited[V](entries: Mapping[str, V]) -> dict[str, V]:
    """The first entries, with names that fit."""
    return {name[:VALUE_LIMIT]: value for name, value in islice(entries.items(), ENTRIES_LIMIT)}


def decimals(metrics: Mapping[str, float]) -> dict[str, str]:
    """Metrics as a status holds them: as text."""
    return {name: f"{value:.6g}" for name, value in limited(metrics).items()}
