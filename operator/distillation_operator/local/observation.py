"""Attempts and processes in the form of Kubernetes' objects, so that one reading serves both: the same words, classes
of failures and counts come of the same ends.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from distillation_api import reasons
from distillation_api.contract import Progress
from distillation_operator.local.attempts import BY_POLICY, Attempt, Attempts, Run
from distillation_operator.manifests.labels import FINGERPRINT_ANNOTATION, OUTPUT_ANNOTATION, child_labels
from distillation_operator.manifests.pod import CONTAINER
from distillation_operator.manifests.pod_failure_policy import FAILURES_ANNOTATION
from distillation_operator.manifests.reading import JOB_INDEX_LABEL, observe
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.observed import Observed
from distillation_operator.pipeline.status.times import format_time

Object = dict[str, Any]

_MESSAGES = {
    BY_POLICY: "The program said that trying again can't help",
    "BackoffLimitExceeded": "Job has reached the specified backoff limit",
    "FailedIndexes": "Job has failed indexes",
}


def observation(
    job: str,
    uid: str,
    attempts: Attempts,
    node: str,
    progress: Mapping[str, Progress],
    waits: Mapping[str, str],
    now: datetime,
    put_off: Mapping[str, Cause] | None = None,
) -> Observed:
    """All that is known of the job with this name and uid. ``node``: the name of this machine; ``progress``: the last
    progress lines, by process; ``waits``: what keeps processes from being started, by their name; ``put_off``: why
    attempts that are due aren't made, by their name.
    """
    return observe(
        uid=uid,
        children=[_child(job, uid, attempt) for attempt in attempts.known],
        jobs_of_jobsets=(),
        pods=[
            _pod(job, attempt, run, node, waits.get(run.name))
            for attempt in attempts.known
            for run in attempt.runs
            # While the back-off of a shard lasts there is no pod of it either.
            if run.due is None or run.started is not None or run.due <= now
        ],
        progress=progress,
        creation_failures=put_off or {},
        pending_reasons={},
        fresh=True,
    )


def _child(job: str, uid: str, attempt: Attempt) -> Object:
    metadata: Object = {
        "name": attempt.name,
        "uid": attempt.uid,
        "labels": child_labels(job, attempt.stage, attempt.number, attempt.name),
        "annotations": {FINGERPRINT_ANNOTATION: attempt.fingerprint, OUTPUT_ANNOTATION: attempt.directory},
        "ownerReferences": [{"uid": uid, "controller": True}],
        "creationTimestamp": format_time(attempt.created),
    }
    if attempt.terminating:
        metadata["deletionTimestamp"] = format_time(attempt.created)
    return {"metadata": metadata, "spec": {}, "status": {"conditions": _end_of(attempt)}}


def _end_of(attempt: Attempt) -> list[Object]:
    if attempt.ended is None:
        return []
    when = {"status": "True", "lastTransitionTime": format_time(attempt.ended)}
    if attempt.verdict is None:
        return [{"type": "Complete", **when}]
    message = _MESSAGES.get(attempt.verdict, attempt.verdict)
    return [{"type": "Failed", "reason": attempt.verdict, "message": message, **when}]


def _pod(job: str, attempt: Attempt, run: Run, node: str, waits: str | None) -> Object:
    labels = child_labels(job, attempt.stage, attempt.number, attempt.name)
    metadata: Object = {
        "name": run.name,
        "labels": {**labels, JOB_INDEX_LABEL: str(run.index)},
        "ownerReferences": [{"uid": attempt.uid, "controller": True}],
    }
    if attempt.indexed:
        metadata["annotations"] = {FAILURES_ANNOTATION: str(run.failures)}
    if run.stopping:
        metadata["deletionTimestamp"] = format_time(run.started or attempt.created)
    return {"metadata": metadata, "spec": {"nodeName": node} if run.started else {}, "status": _status_of(run, waits)}


def _status_of(run: Run, waits: str | None) -> Object:
    if run.started is None:
        reason = reasons.UNSCHEDULABLE.name
        unscheduled = {"type": "PodScheduled", "status": "False", "reason": reason, "message": waits}
        return {"phase": "Pending", "conditions": [unscheduled] if waits else []}
    started = format_time(run.started)
    if run.finished is None:
        state: Object = {"running": {"startedAt": started}}
        phase = "Running"
    else:
        ended = {"startedAt": started, "finishedAt": format_time(run.finished), "exitCode": run.exit_code}
        state = {"terminated": {**ended, "message": run.message, "reason": "Completed" if run.succeeded else "Error"}}
        phase = "Succeeded" if run.succeeded else "Failed"
    return {"phase": phase, "startTime": started, "containerStatuses": [{"name": CONTAINER, "state": state}]}


def node_name(host: str) -> str:
    """The name of this machine as a status may hold it."""
    return re.sub(r"[^-.A-Za-z0-9]", "-", host)[:253] or "localhost"
