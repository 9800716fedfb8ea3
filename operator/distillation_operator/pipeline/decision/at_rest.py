"""Jobs that have ended and of which nothing is left to say: the removal of their children is all that is left to do.

Most jobs of a cluster are such. That is seen in the object as it came, without reading it whole.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from distillation_api import reasons
from distillation_api.spec.job import TTL_SECONDS
from distillation_operator.pipeline.decision.retry_request import LONGEST, RETRY_ANNOTATION
from distillation_operator.pipeline.observed import Child
from distillation_operator.pipeline.status.job_status import OF_RETRIES
from distillation_operator.pipeline.status.times import parse_time

Object = Mapping[str, Any]

_TO_BE_REWRITTEN = OF_RETRIES | {reasons.INTERNAL_ERROR.name}
"""Reasons of conditions that a decision takes back once their cause is gone."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What is still to be known of a job at rest."""

    phase: str
    removal: datetime
    """When its children are to be removed."""


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What becomes of the children of a job that has ended."""

    delete: tuple[str, ...] = ()
    """Names of children to delete, pods included."""
    requeue_after: timedelta | None = None


def at_rest(job: Object) -> Rest | None:
    """What is to be known of a job as the API server has it, if it has ended and its status is final; else None.

    In doubt None: then the job is read whole, and decided on.
    """
    try:
        return _at_rest(job["metadata"], job["spec"], job["status"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def clean_up(children: Iterable[Child], removal: datetime, now: datetime) -> CleanUp:
    """All are removed when their time has come."""
    existing = [child for child in children if child.ours and not child.terminating]
    left = removal - now
    if left > timedelta(0):
        return CleanUp(requeue_after=left if existing else None)
    return CleanUp(tuple(child.name for child in existing))


def _at_rest(metadata: Object, spec: Object, status: Object) -> Rest | None:
    phase = status["phase"]
    if phase not in ("Complete", "Failed") or "deletionTimestamp" in metadata:
        return None
    if status["observedGeneration"] != metadata["generation"]:
        return None
    if phase == "Failed" and not status.get("reason"):
        # As of an operator that wrote none.
        return None
    if any(condition["reason"] in _TO_BE_REWRITTEN for condition in status["conditions"]):
        return None
    request = (metadata.get("annotations") or {}).get(RETRY_ANNOTATION, "")[:LONGEST]
    if request and request not in (status.get("heededRetry"), *status.get("earlierRetries", ())):
        return None
    seconds = int(spec.get("ttlSecondsAfterFinished", TTL_SECONDS))
    return Rest(phase, parse_time(status["completionTime"]) + timedelta(seconds=seconds))
