"""What keeps a pod from running is told in Kubernetes' words: those of kubelet, driver, sidecar and autoscaler."""

from typing import Any

import pytest

from distillation_operator.manifests.pending_cause import WORDS_LIMIT, cause_of_events, waits_to_start
from distillation_operator.manifests.reading import read_pod
from distillation_operator.pipeline.cause import Cause

Object = dict[str, Any]
CREATING: Object = {"waiting": {"reason": "ContainerCreating"}}
INITIALIZING: Object = {"waiting": {"reason": "PodInitializing"}}
RUNNING: Object = {"running": {}}
SIDECAR = "gke-gcsfuse-sidecar"
MOUNT = 'MountVolume.SetUp failed for volume "storage": no permission to read the bucket'


def pod(
    state: Object, phase: str = "Pending", node: str = "node", init: Object | None = None, **status: Any
) -> dict[str, Any]:
    """A pod on a node whose program is in that state; ``init``: the status of the sidecar that starts before it."""
    return {
        "metadata": {"name": "p", "uid": "u"},
        "spec": {"nodeName": node} if node else {},
        "status": {
            "phase": phase,
            "initContainerStatuses": [{"name": SIDECAR, **init}] if init else [],
            "containerStatuses": [{"name": "stage", "state": state}],
            **status,
        },
    }


def event(reason: str, message: str, second: int = 0, kind: str = "Warning", **members: Any) -> Object:
    when = f"2026-11-25T12:00:{second:02}Z"
    metadata = {"creationTimestamp": "2026-11-25T11:00:00Z"}
    return {"metadata": metadata, "type": kind, "reason": reason, "message": message, "lastTimestamp": when, **members}


def told(*events: Object, node: str = "node") -> Cause | None:
    return cause_of_events(pod(CREATING, node=node), events)


def problem(raw: Object, *events: Object) -> tuple[str, str] | None:
    """What is seen of a pod of whose Events those were read."""
    cause = read_pod(raw, cause_of_events(raw, events)).pending_cause
    return None if cause is None else (cause.reason, cause.message)


# Events


def test_a_volume_that_cannot_be_mounted_is_told() -> None:
    """U25: it stands in an Event alone."""
    assert problem(pod(CREATING), event("FailedMount", MOUNT)) == ("FailedMount", MOUNT)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("FailedAttachVolume", 'Multi-Attach error for volume "pvc-1" Volume is already used by another node'),
        ("FailedMapVolume", 'MapVolume.SetUpDevice failed for volume "pvc-1"'),
        ("FailedCreatePodSandBox", "Failed to create pod sandbox: no IP addresses available in range set"),
        ("NetworkNotReady", "network is not ready: container runtime network not ready"),
        ("FailedPrepareDynamicResources", "Failed to prepare dynamic resources"),
    ],
)
def test_whatever_warns_of_a_pod_that_does_not_start_is_told(reason: str, message: str) -> None:
    assert problem(pod(CREATING), event(reason, message)) == (reason, message)


def test_the_words_of_the_cause_are_told_not_that_it_was_waited_for() -> None:
    vain = event("FailedMount", "Unable to attach or mount volumes: unmounted volumes=[storage]", 30)
    assert told(event("FailedMount", MOUNT, 10), vain) == Cause("FailedMount", MOUNT)


def test_the_newest_words_are_told() -> None:
    assert told(event("FailedMount", "first", 1), event("FailedMount", "last", 2)) == Cause("FailedMount", "last")


@pytest.mark.parametrize("times", [{"series": {"lastObservedTime": "2026-11-25T12:00:09.5Z"}}, {}])
def test_an_event_without_a_last_time_has_another(times: Object) -> None:
    old = event("FailedMount", "old", 5)
    new = {**event("FailedMount", "new"), "lastTimestamp": None, "eventTime": "2026-11-25T12:00:07.123456Z", **times}
    assert told(old, new) == Cause("FailedMount", "new")


def test_what_was_in_the_way_and_is_no_more_is_not_told() -> None:
    assert told(event("FailedMount", MOUNT, 1), event("Pulling", 'Pulling image "x"', 2, "Normal")) is None
    attached = event("SuccessfulAttachVolume", "attached", 2, "Normal")
    assert told(event("FailedAttachVolume", "held", 1), attached) is None
    assert told(event("FailedMount", MOUNT, 1), attached) == Cause("FailedMount", MOUNT)


def test_what_keeps_no_pod_from_starting_is_not_told() -> None:
    harmless = event("DNSConfigForming", "Nameserver limits were exceeded")
    assert told(harmless, event("Scheduled", "Successfully assigned", 0, "Normal")) is None
    assert told(harmless, event("FailedMount", MOUNT)) == Cause("FailedMount", MOUNT)


def test_an_autoscaler_without_stock_is_told_with_the_schedulers_words() -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes."}
    raw = pod({}, node="", conditions=[unscheduled])
    stock = event("FailedScaleUp", "Node scale up in zones z failed: GCE out of resources", 1)
    assert problem(raw, stock, event("FailedScheduling", "0/3 nodes.", 2)) == (
        "Unschedulable",
        "0/3 nodes. FailedScaleUp: Node scale up in zones z failed: GCE out of resources",
    )
    assert problem(raw, stock, event("TriggeredScaleUp", "pool 0->1", 2, "Normal")) == ("Unschedulable", "0/3 nodes.")


def test_a_pod_that_runs_has_no_event_and_no_scheduler_in_its_way() -> None:
    assert problem(pod(RUNNING, "Running"), event("FailedMount", MOUNT)) is None
    late = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes."}
    assert problem(pod(RUNNING, "Running", conditions=[late])) is None


def test_what_the_status_says_is_newer_than_an_event() -> None:
    raw = pod({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}})
    assert problem(raw, event("FailedMount", MOUNT)) == ("ImagePullBackOff", "Back-off")


def test_foreign_words_are_cut_and_one_line_that_can_be_printed() -> None:
    cause = told(event("FailedMount", "a\n\x1b[31mb\u202e\x00\t" + "x" * 100_000))
    assert cause is not None
    assert cause.message.startswith("a �[31mb�� x") and cause.message.isprintable()
    assert len(cause.message) == WORDS_LIMIT


# Containers beside the program


def test_an_image_of_a_sidecar_that_cannot_be_pulled_is_told() -> None:
    """U25."""
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}}
    assert problem(pod(INITIALIZING, init=waiting)) == ("ImagePullBackOff", f"{SIDECAR}: Back-off pulling image")


def test_a_sidecar_that_crashes_is_told_with_its_last_words() -> None:
    """U25."""
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "googleapi: Error 403\n"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}
    words = f"{SIDECAR}: back-off 10s restarting failed container; it ended with exit code 1: googleapi: Error 403"
    assert problem(pod(INITIALIZING, init={"state": waiting, "lastState": ended})) == ("CrashLoopBackOff", words)


def test_a_sidecar_that_is_killed_while_the_program_runs_is_told() -> None:
    ended = {"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    words = f"{SIDECAR}: it ended with exit code 137 (OOMKilled)"
    assert problem(pod(RUNNING, "Running", init=ended)) == ("ContainerCrashed", words)


def test_a_sidecar_that_ended_well_or_runs_is_no_problem() -> None:
    assert problem(pod(RUNNING, "Running", init={"state": {"terminated": {"exitCode": 0}}})) is None
    assert problem(pod(RUNNING, "Running", init={"state": RUNNING})) is None
    assert problem(pod(INITIALIZING, init={"state": CREATING})) is None


def test_a_container_that_has_to_end_before_the_program_explains_why_that_never_started() -> None:
    ended = {"state": {"terminated": {"exitCode": 2, "message": "no route to host"}}}
    seen = read_pod(pod(INITIALIZING, "Failed", init=ended))
    assert seen.exit_text == f"{SIDECAR}: it ended with exit code 2: no route to host"


# Nodes


@pytest.mark.parametrize("reason", ["UnexpectedAdmissionError", "OutOfcpu", "NodeAffinity", "NodeShutdown"])
def test_a_pod_that_its_node_does_not_admit_is_seen(reason: str) -> None:
    raw = pod({}, "Failed", reason=reason, message="Pod was rejected")
    assert read_pod(raw).refused_by_node == f"{reason}: Pod was rejected"


def test_a_pod_that_failed_otherwise_was_admitted() -> None:
    assert read_pod(pod({}, "Failed", reason="DeadlineExceeded", message="too long")).refused_by_node is None
    assert read_pod(pod({"terminated": {"exitCode": 1}}, "Failed")).refused_by_node is None


def test_a_node_that_does_not_answer_is_told_while_its_pod_seems_to_run() -> None:
    ready = {"type": "Ready", "status": "False"}
    assert problem(pod(RUNNING, "Running", conditions=[ready])) == ("NodeNotReady", "p: node doesn't answer")
    by_kubelet = {**ready, "reason": "ContainersNotReady"}
    assert problem(pod(RUNNING, "Running", conditions=[by_kubelet])) is None


def test_a_pod_that_is_being_taken_away_is_told() -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "Taint"}
    raw = pod(RUNNING, "Running", conditions=[condition])
    assert problem(raw) == (
        "PodDisrupted",
        "pod p was evicted by a taint from node: DeletionByTaintManager: Taint",
    )


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("EvictionByEvictionAPI", "pod p was evicted from node: EvictionByEvictionAPI: why"),
        ("PreemptionByScheduler", "pod p was preempted from node: PreemptionByScheduler: why"),
        ("SomethingNew", "pod p was taken away from node: SomethingNew: why"),
        ("", "pod p was taken away from node: why"),
    ],
)
def test_a_disruption_is_told_in_the_pods_own_words_while_it_lasts_and_at_its_end(reason: str, text: str) -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "why"}
    assert problem(pod(RUNNING, "Running", conditions=[condition])) == ("PodDisrupted", text)
    ended = read_pod(pod({"terminated": {"exitCode": 143}}, "Failed", conditions=[condition]))
    assert (ended.departure, ended.disrupted) == (text, True)


def test_a_deleted_pod_is_told_as_that() -> None:
    raw = pod(RUNNING, "Running")
    assert read_pod(raw).departure is None
    raw["metadata"]["deletionTimestamp"] = "2026-11-25T12:00:00Z"
    assert problem(raw) == ("PodDeleted", "pod p was deleted")
    assert read_pod(raw).departure == "pod p was deleted"


def test_a_pod_that_is_deleted_on_a_node_that_does_not_answer_is_told_by_its_node() -> None:
    ready = {"type": "Ready", "status": "False"}
    raw = pod(RUNNING, "Running", conditions=[ready])
    raw["metadata"]["deletionTimestamp"] = "2026-11-25T12:00:00Z"
    assert problem(raw) == ("NodeNotReady", "p: node doesn't answer")
    raw["status"]["conditions"] = [{**ready, "reason": "ContainersNotReady"}]
    assert problem(raw) == ("PodDeleted", "pod p was deleted")


def test_a_pod_that_has_a_node_is_not_unschedulable_whatever_a_late_scheduler_writes() -> None:
    late = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no nodes available"}
    raw = pod(CREATING, conditions=[late])
    assert problem(raw) is None
    assert problem(raw, event("FailedMount", MOUNT)) == ("FailedMount", MOUNT)


def test_hostile_words_of_a_disruption_are_one_printable_line() -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "X", "message": "\x1b[2J\nnext" + "y" * 5000}
    departure = read_pod(pod(RUNNING, "Running", conditions=[condition])).departure
    assert departure is not None and departure.isprintable() and len(departure) <= 600


@pytest.mark.parametrize(
    "end",
    [
        "",
        " preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        " no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found.",
    ],
)
def test_why_no_node_takes_a_pod_ends_before_the_words_on_preemption(end: str) -> None:
    said = "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {preemption: x.y}."
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said + end}
    assert problem(pod({}, node="", conditions=[unschedulable])) == ("Unschedulable", said)


def test_a_gated_pod_is_told_with_words() -> None:
    gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    assert problem(pod({}, node="", conditions=[gated])) == (
        "SchedulingGated",
        "a gate of the pod keeps it from the scheduler",
    )


# Whom to ask about


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pod(CREATING), True),
        (pod(INITIALIZING, init={"state": CREATING}), True),
        (pod({}, node=""), True),
        (pod(RUNNING), False),
        (pod(RUNNING, "Running"), False),
        (pod({"terminated": {"exitCode": 0}}, "Succeeded"), False),
        (pod({"waiting": {"reason": "ErrImagePull"}}), False),
    ],
)
def test_only_pods_that_wait_without_a_word_are_asked_about(raw: Object, expected: bool) -> None:
    assert waits_to_start(raw) is expected


def test_a_pod_that_is_going_is_not_asked_about() -> None:
    raw = pod(CREATING)
    raw["metadata"]["deletionTimestamp"] = "2026-11-25T12:00:00Z"
    assert not waits_to_start(raw)
