"""From Jobs, JobSets and pods, as the API server returns them, to what decisions look at."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from distillation_api.contract import PERMANENT_EXIT_CODES, Progress, StageFailure, StageResult
from distillation_operator.manifests.bare_reading import chips_asked_for
from distillation_operator.manifests.departure import deleted_text, disrupted_text
from distillation_operator.manifests.labels import (
    ATTEMPT_LABEL,
    CHILD_LABEL,
    FINGERPRINT_ANNOTATION,
    KUEUE_LABEL,
    OUTPUT_ANNOTATION,
    PRIORITY_LABEL,
    STAGE_LABEL,
)
from distillation_operator.manifests.pending_cause import failed_before, one_line, pending_cause, with_event
from distillation_operator.manifests.pod import CONTAINER
from distillation_operator.manifests.pod_failure_policy import (
    disruption,
    disruption_message,
    failed_for_pod,
    failure_class,
    index_retries,
    read_count,
    refused_by_node,
)
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.observed import (
    Child,
    ChildState,
    Observed,
    Pod,
)
from distillation_operator.pipeline.status.times import later, parse_time

Object = Mapping[str, Any]

JOBSET_NAME_LABEL = "jobset.sigs.k8s.io/jobset-name"
JOBSET_INDEX_LABEL = "jobset.sigs.k8s.io/job-index"
JOB_INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
_LOG_TAIL = 600
GREATEST_ATTEMPT = 10_000
"""More attempts than retries of any kind allow: a greater number wasn't written by us."""
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_OUTPUT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=-]*(/[A-Za-z0-9_][A-Za-z0-9_.=-]*)+")
_OUTPUT_LIMIT = 256

PodReader = Callable[[Object, Cause | None, Cause | None], Pod]
ChildReader = Callable[[Object, str, list[Object]], Child]


def observe(
    uid: str,
    children: Iterable[Object],
    jobs_of_jobsets: Iterable[Object],
    pods: Iterable[Object],
    progress: Mapping[str, Progress],
    creation_failures: Mapping[str, Cause],
    pending_reasons: Mapping[str, str],
    fresh: bool = False,
    at_work: Mapping[str, str] | None = None,
    strangers: Iterable[Object] = (),
    pod_events: Mapping[str, Cause] | None = None,
    node_signs: Mapping[str, Cause] | None = None,
    last_progress: Mapping[tuple[str, int], Progress] | None = None,
    begun: Set[str] | None = None,
    *,
    of_pod: PodReader | None = None,
    of_child: ChildReader | None = None,
) -> Observed:
    """All that is known of the job with this uid.

    ``children``: its Jobs and JobSets by name and label; ``jobs_of_jobsets``: the Jobs that JobSets have made;
    ``pending_reasons``: what is known of why one has no pods, by name; ``fresh``: all was listed for this decision;
    ``at_work``: directories in which children of other jobs work, and these jobs; ``strangers``: pods with our labels
    and no owner that is known; ``pod_events``: what Events say keeps a pod from starting, by its name;
    ``node_signs``: what nodes say of the pods on them, by node; ``last_progress`` and ``begun``: as ``Observed`` has
    them; ``of_pod``, ``of_child``: ``read_pod`` and ``read_child``, or what remembers what they return.
    """
    of_pod, of_child = of_pod or read_pod, of_child or read_child
    made = defaultdict[str | None, list[Object]](list)
    for job in jobs_of_jobsets:
        made[jobset_of(job)].append(job)
    read = [of_child(child, uid, made.get(_name(child), [])) for child in children]
    read = [
        replace(child, message=pending_reasons[child.name])
        if child.name in pending_reasons and child.ended_at is None
        else child
        for child in read
    ]
    return Observed(
        children={child.name: child for child in read},
        pods=tuple(of_pod(pod, (pod_events or {}).get(_name(pod)), _sign(pod, node_signs or {})) for pod in pods),
        progress=progress,
        last_progress=last_progress or {},
        creation_failures=creation_failures,
        fresh=fresh,
        begun=begun,
        at_work={} if at_work is None else at_work,
        strangers=tuple(read_pod(pod) for pod in strangers),
    )


def read_child(child: Object, uid: str, jobs: list[Object]) -> Child:
    """One Job or JobSet. Labels, annotations and owner references are claims of whoever may write the object: it is
    ours when its owner is the DistillationJob and its name and attempt are one that we would have given.
    """
    labels = child["metadata"].get("labels") or {}
    annotations = child["metadata"].get("annotations") or {}
    owners = child["metadata"].get("ownerReferences") or []
    state, message, ended = _state(child)
    of_pods = _conditions(child, *jobs) if state is ChildState.FAILED else []
    attempt = read_count(labels.get(ATTEMPT_LABEL))
    owned = any(owner.get("uid") == uid for owner in owners)
    return Child(
        name=_name(child),
        stage=labels.get(STAGE_LABEL, ""),
        attempt=attempt,
        state=state,
        uid=child["metadata"].get("uid", ""),
        jobs=frozenset(_uid(job) for job in jobs if _controller(job["metadata"]) == _uid(child)),
        ours=owned and attempt <= GREATEST_ATTEMPT and _name(child).endswith(f"-{attempt}"),
        terminating="deletionTimestamp" in child["metadata"],
        failure_class=failure_class(of_pods) if state is ChildState.FAILED else None,
        lost_pod=failed_for_pod(of_pods),
        fingerprint=_matching(_FINGERPRINT, annotations.get(FINGERPRINT_ANNOTATION)),
        directory=_matching(_OUTPUT, annotations.get(OUTPUT_ANNOTATION)),
        message=disruption_message(of_pods) or message,
        created_at=_time(child["metadata"].get("creationTimestamp")),
        ended_at=ended,
    )


def working_in(child: Object) -> str | None:
    """The output directory of a Job or JobSet that may have pods; None where it has ended, or its queue holds it."""
    annotations = child["metadata"].get("annotations") or {}
    return _matching(_OUTPUT, annotations.get(OUTPUT_ANNOTATION)) if _state(child)[0] is ChildState.ACTIVE else None


def _matching(pattern: re.Pattern[str], text: object) -> str | None:
    """An annotation that is as we write it; whoever may edit our children may have written anything."""
    return text if isinstance(text, str) and len(text) <= _OUTPUT_LIMIT and pattern.fullmatch(text) else None


def _state(child: Object) -> tuple[ChildState, str, datetime | None]:
    conditions = {c["type"]: c for c in (child.get("status") or {}).get("conditions") or [] if c["status"] == "True"}
    for kind, state in (
        ("Complete", ChildState.COMPLETE),
        ("Completed", ChildState.COMPLETE),
        ("Failed", ChildState.FAILED),
    ):
        if kind in conditions:
            condition = conditions[kind]
            return state, condition.get("message", ""), _time(condition.get("lastTransitionTime"))
    if child["spec"].get("suspend"):
        return ChildState.HELD, conditions.get("Suspended", {}).get("message", ""), None
    return ChildState.ACTIVE, "", None


def _conditions(*objects: Object) -> list[Object]:
    return [condition for thing in objects for condition in (thing.get("status") or {}).get("conditions") or []]


def is_held(child: Object) -> bool:
    """True for a child that its queue holds."""
    return KUEUE_LABEL in (child["metadata"].get("labels") or {}) and _state(child)[0] is ChildState.HELD


def wants_pods(child: Object) -> bool:
    """True for a child that should have pods."""
    return _state(child)[0] is ChildState.ACTIVE and "deletionTimestamp" not in child["metadata"]


def child_of(pod: Object) -> str | None:
    """The name of the child that a pod is of."""
    return (pod["metadata"].get("labels") or {}).get(CHILD_LABEL)


def refusal_message(events: Iterable[Object]) -> str | None:
    """What the API server said last when a pod was to be created, from a Job's Events of reason FailedCreate."""
    told = [event for event in events if event.get("message")]
    if not told:
        return None
    return str(max(told, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))["message"])


def queue_message(workloads: Iterable[Object]) -> str | None:
    """What Kueue says of a child, from the Workloads that it keeps for it; None while it says nothing."""
    said = [c for workload in workloads for c in (workload.get("status") or {}).get("conditions") or []]
    for kind, status in (("Evicted", "True"), ("QuotaReserved", "False"), ("Admitted", "False")):
        for condition in said:
            if condition["type"] == kind and condition["status"] == status and condition.get("message"):
                return str(condition["message"])
    return None


def no_workload_message(child: Object) -> str:
    """What may be wrong where Kueue keeps no Workload for a child that it should admit: it says so in its log alone."""
    named = (child["metadata"].get("labels") or {}).get(PRIORITY_LABEL)
    own = f"no WorkloadPriorityClass {named!r} (queue.priorityClass), " if named else ""
    return (
        f"Kueue has made no Workload of it, and admits nothing without: either there is {own}no PriorityClass of the "
        "name in pod.priorityClassName, or Kueue doesn't run."
    )


def _sign(pod: Object, node_signs: Mapping[str, Cause]) -> Cause | None:
    return node_signs.get((pod.get("spec") or {}).get("nodeName") or "")


def read_pod(pod: Object, told: Cause | None = None, node: Cause | None = None) -> Pod:
    """One pod of a child. ``told``: what Events say keeps it from starting; ``node``: what its node says of it."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    labels = metadata.get("labels") or {}
    container = _container_status(status)
    ended = container.get("state", {}).get("terminated") or {}
    phase = status.get("phase", "Pending")
    # The GCS FUSE sidecar may outlive the program: the program's container tells, not the pod.
    over = phase in ("Succeeded", "Failed") or bool(ended)
    succeeded = phase == "Succeeded" or (bool(ended) and ended.get("exitCode") == 0)
    running = "running" in container.get("state", {})
    outcome = parse_outcome(ended.get("message"))
    taken = disruption(pod)
    failures, disruptions = index_retries(pod)
    return Pod(
        name=metadata["name"],
        child=labels.get(CHILD_LABEL, ""),
        index=read_count(labels.get(JOB_INDEX_LABEL)),
        stage=labels.get(STAGE_LABEL, ""),
        chips=chips_asked_for(pod),
        slice=read_count(labels.get(JOBSET_INDEX_LABEL)),
        running=running,
        ended=over,
        succeeded=succeeded,
        complete=phase == "Succeeded" and ended.get("exitCode") == 0,
        terminating="deletionTimestamp" in metadata,
        disrupted=taken is not None,
        departure=_departure(pod),
        pending_cause=None if over else with_event(pod, pending_cause(pod), told) or (node if running else None),
        result=outcome if isinstance(outcome, StageResult) else None,
        failure=_final_failure(outcome, ended),
        exit_code=ended.get("exitCode"),
        node=(pod.get("spec") or {}).get("nodeName"),
        exit_text=_exit_text(status, ended, taken) if over and not succeeded else None,
        refused_by_node=refused_by_node(pod),
        # A node whose clock is behind tells a start before there was a pod: chip-hours that nobody has used.
        started=later(status.get("startTime"), metadata.get("creationTimestamp")) if "startTime" in status else None,
        container_started=_time((ended or container.get("state", {}).get("running") or {}).get("startedAt")),
        finished=_time(ended.get("finishedAt")),
        owner=_controller(metadata),
        index_failures=failures,
        index_disruptions=disruptions,
    )


def _departure(pod: Object) -> str | None:
    text = disrupted_text(pod) or deleted_text(pod)
    return None if text is None else one_line(text)


def reporting_pods(pods: Iterable[Object], jobsets: Iterable[Object]) -> list[Pod]:
    """Of the pods those that run and print progress: of pods that work as one, in a JobSet, the first host of the first
    slice.
    """
    as_one = {_name(jobset) for jobset in jobsets}
    # Only those whose container runs are read whole.
    running = (pod for pod in map(read_pod, filter(_runs, pods)) if pod.running and not pod.ended)
    return [pod for pod in running if pod.child not in as_one or pod.index == pod.slice == 0]


def _runs(pod: Object) -> bool:
    return "running" in _container_status(pod.get("status") or {}).get("state", {})


def parse_outcome(message: str | None) -> StageResult | StageFailure | None:
    """The termination message of a stage program; None for anything else, such as the tail of a log."""
    if not message:
        return None
    try:
        text = message.encode(errors="replace")
        value = json.loads(text)
        if b"\\u" in text:
            # Half a surrogate pair is valid as an escape of JSON, and nowhere else.
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    try:
        match value.get("type"):
            case "result":
                return StageResult.model_validate(value)
            case "failure":
                return StageFailure.model_validate(value)
    except ValidationError:
        return None
    return None


def parse_progress(log: str) -> Progress | None:
    """The last progress line of a log's tail."""
    for line in reversed(log.splitlines()):
        if line.startswith("{") and '"progress"' in line:
            try:
                return Progress.model_validate_json(line.encode(errors="replace"))
            except ValidationError:
                continue
    return None


def _final_failure(outcome: StageResult | StageFailure | None, ended: Object) -> StageFailure | None:
    """A failure's message counts as permanent only with the exit code that says so too."""
    if not isinstance(outcome, StageFailure):
        return None
    return outcome.model_copy(update={"permanent": ended.get("exitCode") in PERMANENT_EXIT_CODES})


def _controller(metadata: Object) -> str:
    owners = [owner for owner in metadata.get("ownerReferences") or [] if owner.get("controller")]
    return str(owners[0].get("uid", "")) if owners else ""


def _exit_text(status: Object, ended: Object, taken: str | None) -> str:
    text = _exit_of_container(status, ended)
    # What the kubelet has ended for a limit of the pod: its container shows no more than a signal.
    if taken is None and ended and status.get("phase") == "Failed" and status.get("reason"):
        said = (str(status["reason"]), str(status.get("message") or "").strip())
        taken = ": ".join(part for part in said if part)
    return text if taken is None else f"{taken}; {text}"


def _exit_of_container(status: Object, ended: Object) -> str:
    if not ended:
        before = failed_before(status)
        return before or status.get("message") or status.get("reason") or "ended without a container status"
    tail = (ended.get("message") or "").strip()[-_LOG_TAIL:]
    text = f"exit code {ended.get('exitCode')}"
    if ended.get("reason") not in (None, "Error"):
        text += f" ({ended['reason']})"
    return f"{text}: {tail}" if tail else text


def _container_status(status: Object) -> Object:
    for container in status.get("containerStatuses") or []:
        if container.get("name") == CONTAINER:
            return container  # type: ignore[no-any-return]
    return {}


def jobset_of(job: Object) -> str | None:
    """The JobSet that has made a Job, if one has."""
    return (job["metadata"].get("labels") or {}).get(JOBSET_NAME_LABEL)


def _name(thing: Object) -> str:
    return str(thing["metadata"]["name"])


def _uid(thing: Object) -> str:
    return str(thing["metadata"].get("uid", ""))


def _time(text: str | None) -> datetime | None:
    return parse_time(text) if text else None
