"""Jobs, JobSets and pods as the API server returns them, and what is made of them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation_api.contract import Progress, StageFailure, StageResult
from distillation_operator.manifests.bare_reading import bare_pods
from distillation_operator.manifests.reading import (
    observe,
    parse_outcome,
    parse_progress,
    queue_message,
    read_child,
    read_pod,
    refusal_message,
)
from distillation_operator.pipeline.observed import Child, ChildState, FailureClass, Pod

Object = dict[str, Any]
UID = "uid-1"
LABELS = {
    "app.kubernetes.io/managed-by": "distillation-operator",
    "distillation.dev/job": "job",
    "distillation.dev/stage": "generate",
    "distillation.dev/attempt": "2",
    "distillation.dev/child": "job-generate-2",
}
RESULT = {"type": "result", "version": "v1", "stage": "generate", "fingerprint": "f" * 16, "counts": {"rows": 5}}
ENDED_AT = "2026-11-25T12:00:00Z"
ENDED = datetime(2026, 11, 25, 12, tzinfo=UTC)


def failure(permanent: bool = True) -> Object:
    return {
        "type": "failure",
        "stage": "generate",
        "reason": "MissingColumn",
        "message": "None.",
        "permanent": permanent,
    }


# Children.


def condition(kind: str, reason: str = "", message: str = "", status: str = "True") -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": ENDED_AT}


def child(kind: str, *conditions: Object, suspend: bool | None = None, **metadata: Any) -> Object:
    return {
        "kind": kind,
        "metadata": {
            "name": "job-generate-2",
            "namespace": "ml",
            "uid": "child-uid",
            "creationTimestamp": "2026-11-25T11:00:00Z",
            "labels": LABELS,
            "ownerReferences": [{"kind": "DistillationJob", "name": "job", "uid": UID, "controller": True}],
            **metadata,
        },
        "spec": {} if suspend is None else {"suspend": suspend},
        "status": {"conditions": list(conditions)} if conditions else {},
    }


def job_of_jobset(*conditions: Object, jobset: str = "job-generate-2", replica: int = 0) -> Object:
    name = f"{jobset}-slice-{replica}"
    labels = {**LABELS, "jobset.sigs.k8s.io/jobset-name": jobset, "jobset.sigs.k8s.io/job-index": str(replica)}
    owners = [{"kind": "JobSet", "name": jobset, "uid": "child-uid", "controller": True}]
    return child("Job", *conditions, name=name, labels=labels, ownerReferences=owners)


JOBSET_FAILED = condition(
    "Failed",
    "FailedJobs",
    "jobset failed due to one or more job failures (first failed job: job-generate-2-slice-0)",
)


def read(raw: Object, *jobs: Object) -> Child:
    return read_child(raw, UID, list(jobs))


def test_who_a_child_is() -> None:
    seen = read(child("Job"))
    assert (seen.name, seen.stage, seen.attempt) == ("job-generate-2", "generate", 2)
    assert (seen.state, seen.ours, seen.terminating) == (ChildState.ACTIVE, True, False)
    assert seen.created_at == datetime(2026, 11, 25, 11, tzinfo=UTC)


def test_a_child_tells_what_its_pods_were_asked() -> None:
    asked = {
        "distillation.dev/fingerprint": "0123456789abcdef",
        "distillation.dev/output": "p/generate/0123456789abcdef",
    }
    seen = read(child("Job", annotations=asked))
    assert (seen.fingerprint, seen.directory) == ("0123456789abcdef", "p/generate/0123456789abcdef")


@pytest.mark.parametrize("text", ["", "F" * 16, "0" * 5000, "../../etc/passwd\n", 7, None])
def test_what_somebody_else_wrote_there_is_no_fact(text: object) -> None:
    seen = read(child("Job", annotations={"distillation.dev/fingerprint": text, "distillation.dev/output": text}))
    assert (seen.fingerprint, seen.directory) == (None, None)


def test_a_new_child_without_status_is_active() -> None:
    raw = child("Job")
    del raw["status"]
    assert read(raw).state is ChildState.ACTIVE


@pytest.mark.parametrize("owners", [None, [], [{"kind": "DistillationJob", "name": "job", "uid": "an older one"}]])
def test_a_child_of_another_owner_is_not_ours(owners: list[Object] | None) -> None:
    assert not read(child("Job", ownerReferences=owners)).ours


def test_a_strangers_labels_do_no_harm() -> None:
    seen = read(child("Job", labels={**LABELS, "distillation.dev/attempt": "first"}, ownerReferences=None))
    assert (seen.attempt, seen.ours) == (0, False)
    assert read(child("Job", labels={**LABELS, "distillation.dev/attempt": "-3"}, ownerReferences=None)).attempt == 0


def test_a_child_on_its_way_out() -> None:
    assert read(child("Job", deletionTimestamp=ENDED_AT)).terminating


@pytest.mark.parametrize(("kind", "complete"), [("Job", "Complete"), ("JobSet", "Completed")])
def test_a_complete_child(kind: str, complete: str) -> None:
    seen = read(child(kind, condition("SuccessCriteriaMet"), condition(complete)))
    assert (seen.state, seen.ended_at, seen.failure_class) == (ChildState.COMPLETE, ENDED, None)


def test_a_job_that_only_meets_its_success_criteria_has_not_ended_yet() -> None:
    seen = read(child("Job", condition("SuccessCriteriaMet")))
    assert (seen.state, seen.ended_at) == (ChildState.ACTIVE, None)


def test_a_condition_that_is_false_does_not_count() -> None:
    assert read(child("Job", condition("Complete", status="False"))).state is ChildState.ACTIVE


def test_a_child_suspended_by_its_queue() -> None:
    seen = read(child("Job", condition("Suspended", "JobSuspended", "Job suspended"), suspend=True))
    assert (seen.state, seen.message, seen.ended_at) == (ChildState.HELD, "Job suspended", None)
    assert read(child("JobSet", suspend=True)).state is ChildState.HELD


def test_a_child_that_was_resumed_is_active() -> None:
    resumed = condition("Suspended", "JobResumed", "Job resumed", status="False")
    assert read(child("Job", resumed, suspend=False)).state is ChildState.ACTIVE


def test_a_child_that_failed_while_it_was_suspended_has_failed() -> None:
    assert read(child("Job", condition("Failed", "BackoffLimitExceeded"), suspend=True)).state is ChildState.FAILED


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("BackoffLimitExceeded", "Job has reached the specified backoff limit"),
        ("FailedIndexes", "Job has failed indexes"),
        ("DeadlineExceeded", "Job was active longer than specified deadline"),
    ],
)
def test_a_job_whose_pods_crashed(reason: str, message: str) -> None:
    seen = read(child("Job", condition("FailureTarget", reason, message), condition("Failed", reason, message)))
    assert (seen.state, seen.failure_class, seen.message) == (ChildState.FAILED, FailureClass.CRASH, message)
    assert (seen.ended_at, seen.lost_pod) == (ENDED, reason == "BackoffLimitExceeded")


def test_a_job_that_failed_by_an_exit_code_of_the_policy_is_permanent() -> None:
    message = (
        "Container stage for pod ml/job-generate-2-0-abcde failed with exit code 65 matching FailJob rule at index 0"
    )
    assert read(child("Job", condition("Failed", "PodFailurePolicy", message))).failure_class is FailureClass.PERMANENT


def test_a_job_whose_pod_was_taken_away_is_a_disruption() -> None:
    message = "Pod ml/job-fetch-teacher-2-abcde has condition DisruptionTarget matching FailJob rule at index 0"
    seen = read(child("Job", condition("Failed", "PodFailurePolicy", message)))
    assert seen.failure_class is FailureClass.DISRUPTION


def test_a_jobset_tells_a_disruption_by_the_job_it_made() -> None:
    message = "Pod ml/job-generate-2-slice-0-0-abcde has condition DisruptionTarget matching FailJob rule at index 0"
    made = job_of_jobset(condition("Failed", "PodFailurePolicy", message))
    seen = read(child("JobSet", JOBSET_FAILED), made)
    assert seen.failure_class is FailureClass.DISRUPTION
    assert seen.message.startswith("pod job-generate-2-slice-0-0-abcde was taken away")


def test_a_jobset_tells_a_permanent_failure_by_the_job_it_made() -> None:
    message = "Container stage for pod ml/x failed with exit code 65 matching FailJob rule at index 1"
    made = job_of_jobset(condition("Failed", "PodFailurePolicy", message))
    assert read(child("JobSet", JOBSET_FAILED), made).failure_class is FailureClass.PERMANENT


def test_a_jobset_whose_pods_crashed() -> None:
    made = job_of_jobset(condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"))
    seen = read(child("JobSet", JOBSET_FAILED), made)
    assert seen.failure_class is FailureClass.CRASH
    assert seen.message.startswith("jobset failed") and seen.lost_pod


def test_a_jobset_whose_jobs_are_gone_counts_as_a_crash() -> None:
    assert read(child("JobSet", JOBSET_FAILED)).failure_class is FailureClass.CRASH


def test_a_slice_that_was_taken_away_explains_the_crash_of_the_others() -> None:
    disrupted = "Pod ml/x has condition DisruptionTarget matching FailJob rule at index 0"
    crash = job_of_jobset(condition("Failed", "BackoffLimitExceeded", "backoff"), replica=0)
    lost = job_of_jobset(condition("Failed", "PodFailurePolicy", disrupted), replica=1)
    assert read(child("JobSet", JOBSET_FAILED), crash, lost).failure_class is FailureClass.DISRUPTION


def test_jobs_of_another_jobset_do_not_count() -> None:
    message = "Pod ml/x has condition DisruptionTarget matching FailJob rule at index 0"
    other = job_of_jobset(condition("Failed", "PodFailurePolicy", message), jobset="job-generate-1")
    seen = observe(UID, [child("JobSet", JOBSET_FAILED)], [other], [], {}, {}, {})
    assert seen.children["job-generate-2"].failure_class is FailureClass.CRASH


@pytest.mark.parametrize(
    ("kind", "owner", "owned"),
    [
        ("Job", "child-uid", True),
        ("Job", "uid of its Job", False),
        ("JobSet", "uid of its Job", True),
        ("JobSet", "uid of another's Job", False),
        ("JobSet", None, False),
    ],
)
def test_the_pods_of_a_child_are_those_that_its_own_jobs_have_made(kind: str, owner: str | None, owned: bool) -> None:
    mine, others = job_of_jobset(), job_of_jobset(replica=1)
    mine["metadata"]["uid"], others["metadata"]["uid"] = "uid of its Job", "uid of another's Job"
    others["metadata"]["ownerReferences"][0]["uid"] = "uid of another JobSet"
    raw = pod()
    raw["metadata"]["ownerReferences"] = [] if owner is None else [{"uid": owner, "controller": True}]
    jobs = [mine, others] if kind == "JobSet" else []
    assert read(child(kind, uid="child-uid"), *jobs).owns(read_pod(raw)) == owned


def test_all_is_put_together_by_name() -> None:
    line = Progress(stage="generate", done=1, total=2, unit="rows")
    seen = observe(UID, [child("Job")], [], [pod()], {"job-generate-2-1-abcde": line}, {}, {})
    assert list(seen.children) == ["job-generate-2"]
    assert [p.name for p in seen.pods_of("job-generate-2")] == ["job-generate-2-1-abcde"]
    assert seen.progress["job-generate-2-1-abcde"].done == 1


# Pods.


def pod(phase: str = "Pending", state: Object | None = None, **status: Any) -> Object:
    containers = [{"name": "stage", "state": state, "ready": False}] if state is not None else []
    return {
        "kind": "Pod",
        "metadata": {
            "name": "job-generate-2-1-abcde",
            "namespace": "ml",
            "labels": {**LABELS, "batch.kubernetes.io/job-completion-index": "1"},
        },
        "spec": {},
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }


def terminated(code: int, message: object = None, reason: str | None = None) -> Object:
    text = message if message is None or isinstance(message, str) else json.dumps(message)
    ended = {"exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error"), "finishedAt": ENDED_AT}
    ended["startedAt"] = ENDED_AT
    return {"terminated": ended if text is None else {**ended, "message": text}}


def ended(code: int, message: object = None, reason: str | None = None) -> Pod:
    return read_pod(pod("Succeeded" if code == 0 else "Failed", terminated(code, message, reason)))


def waiting(reason: str, message: str | None = None) -> Pod:
    state = {"reason": reason} if message is None else {"reason": reason, "message": message}
    return read_pod(pod("Pending", {"waiting": state}))


def test_who_a_pod_is() -> None:
    seen = read_pod(pod())
    assert (seen.name, seen.child, seen.index, seen.slice) == ("job-generate-2-1-abcde", "job-generate-2", 1, 0)
    raw = pod()
    raw["metadata"]["labels"]["jobset.sigs.k8s.io/job-index"] = "3"
    assert read_pod(raw).slice == 3


def test_a_pod_that_has_no_status_yet_may_still_start() -> None:
    raw = pod()
    raw["status"] = {}
    seen = read_pod(raw)
    assert (seen.alive, seen.running, seen.pending_cause) == (True, False, None)


def test_a_running_pod() -> None:
    seen = read_pod(pod("Running", {"running": {"startedAt": ENDED_AT}}, startTime=ENDED_AT))
    assert (seen.running, seen.alive, seen.started, seen.container_started) == (True, True, ENDED, ENDED)


def test_a_pod_that_ended_well() -> None:
    seen = ended(0, RESULT)
    assert (seen.ended, seen.succeeded, seen.alive, seen.exit_text) == (True, True, False, None)
    assert seen.complete
    assert seen.result == StageResult(stage="generate", fingerprint="f" * 16, counts={"rows": 5})
    assert (seen.container_started, seen.finished) == (ENDED, ENDED)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ImagePullBackOff", 'Back-off pulling image "trainer:dev"'),
        ("ErrImagePull", "unauthorized"),
        ("InvalidImageName", "couldn't parse image name"),
        ("CreateContainerConfigError", 'secret "hf-token" not found'),
        ("CreateContainerError", "context deadline exceeded"),
    ],
)
def test_a_problem_that_keeps_a_pod_from_starting(reason: str, message: str) -> None:
    seen = waiting(reason, message)
    assert seen.pending_cause is not None
    assert (seen.pending_cause.reason, seen.pending_cause.message) == (reason, message)
    assert seen.alive


def test_a_problem_without_words_has_its_reason_for_words() -> None:
    seen = waiting("ErrImagePull")
    assert seen.pending_cause is not None and seen.pending_cause.message == "ErrImagePull"


def test_a_container_that_is_being_made_is_no_problem() -> None:
    assert waiting("ContainerCreating").pending_cause is None
    assert waiting("PodInitializing").pending_cause is None


def test_a_pod_without_a_node() -> None:
    message = "0/3 nodes are available: 3 Insufficient google.com/tpu."
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]
    problem = read_pod(pod("Pending", conditions=conditions)).pending_cause
    assert problem is not None
    assert (problem.reason, problem.message) == ("Unschedulable", message)


def test_a_pod_that_ended_has_no_problem_any_more() -> None:
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}]
    assert read_pod(pod("Failed", conditions=conditions)).pending_cause is None


def test_a_program_that_ended_while_its_sidecar_runs_has_ended() -> None:
    raw = pod("Running", terminated(0, RESULT))
    raw["status"]["containerStatuses"].insert(0, {"name": "gke-gcsfuse-sidecar", "state": {"running": {}}})
    seen = read_pod(raw)
    assert (seen.running, seen.ended, seen.succeeded, seen.complete) == (False, True, True, False)
    assert seen.result is not None


def test_a_sidecar_that_runs_does_not_make_a_pod_run() -> None:
    raw = pod("Pending", {"waiting": {"reason": "ContainerCreating"}})
    raw["status"]["containerStatuses"].insert(0, {"name": "gke-gcsfuse-sidecar", "state": {"running": {}}})
    assert not read_pod(raw).running


def test_a_program_that_ran_out_of_memory() -> None:
    seen = ended(137, "loading shard 3 of 8", reason="OOMKilled")
    assert seen.exit_text == "exit code 137 (OOMKilled): loading shard 3 of 8"
    assert (seen.failure, seen.succeeded) == (None, False)


def test_a_pod_that_was_evicted_tells_why() -> None:
    seen = read_pod(pod("Failed", reason="Evicted", message="The node was low on resource: memory."))
    assert (seen.ended, seen.exit_text) == (True, "The node was low on resource: memory.")


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline"),
        ("Evicted", 'Usage of EmptyDir volume "scratch" exceeds the limit "200Gi". '),
    ],
)
def test_a_pod_that_was_ended_for_a_limit_tells_which(reason: str, message: str) -> None:
    """No disruption: the program took more than the installation gives, which a new pod would do too."""
    seen = read_pod(pod("Failed", terminated(137, "step 7"), reason=reason, message=message))
    assert seen.exit_text == f"{reason}: {message.strip()}; exit code 137: step 7"
    assert not seen.disrupted


def test_a_pod_that_ended_with_its_node_tells_at_least_that() -> None:
    assert read_pod(pod("Failed")).exit_text == "ended without a container status"


def test_a_pod_on_its_way_out_is_alive() -> None:
    raw = pod("Running", {"running": {}})
    raw["metadata"]["deletionTimestamp"] = ENDED_AT
    seen = read_pod(raw)
    assert (seen.terminating, seen.alive) == (True, True)


# Verdicts.


@pytest.mark.parametrize("code", [65, 78])
@pytest.mark.parametrize("claimed", [True, False])
def test_the_exit_code_makes_a_failure_permanent(code: int, claimed: bool) -> None:
    verdict = ended(code, failure(claimed)).failure
    assert verdict is not None
    assert (verdict.permanent, verdict.reason) == (True, "MissingColumn")


@pytest.mark.parametrize("code", [1, 75, 137, 143])
def test_a_failure_that_calls_itself_permanent_is_not_believed_without_the_exit_code(code: int) -> None:
    verdict = ended(code, failure(permanent=True)).failure
    assert verdict is not None and not verdict.permanent


def test_an_exit_code_alone_is_no_verdict() -> None:
    seen = ended(65, "Traceback (most recent call last):")
    assert seen.failure is None
    assert seen.exit_text == "exit code 65: Traceback (most recent call last):"


@pytest.mark.parametrize(
    "message",
    [
        None,
        "",
        "[2026-11-25] step 4, loss 1.25\nKilled",
        json.dumps(RESULT)[:-20],
        json.dumps(RESULT)[5:],
        json.dumps({**RESULT, "counts": {"x" * 50 + str(n): n for n in range(100)}})[:4096],
        "null",
        "42",
        '"result"',
        "[]",
        "{}",
        '{"type": "progress", "stage": "x", "done": 1, "total": 2, "unit": "rows"}',
        '{"type": "result"}',
        json.dumps({**RESULT, "version": "v2"}),
        json.dumps({**RESULT, "surprise": 1}),
        json.dumps({**RESULT, "counts": {"rows": "many"}}),
        '{"type": ["result"]}',
        '{"type": "failure", "reason": 5}',
        "[" * 4096,
        '{"a":' * 800,
        "\x00\ufffd",
        "1" * 4096,
    ],
)
def test_a_message_that_is_no_outcome_is_taken_for_a_log(message: str | None) -> None:
    assert parse_outcome(message) is None
    seen = ended(0, message)
    assert (seen.result, seen.failure) == (None, None)


@settings(max_examples=50, deadline=None, database=None)
@given(
    st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)),
    st.integers(0, 255),
)
def test_whatever_stands_in_a_message_it_can_be_read(message: str, code: int) -> None:
    seen = ended(code, message)
    assert seen.ended
    assert seen.succeeded == (code == 0)


def test_a_long_log_is_told_by_its_end() -> None:
    text = ended(1, "first line\n" + "x" * 10_000 + "\nValueError: the cause").exit_text
    assert text is not None
    assert text.endswith("ValueError: the cause")
    assert len(text) < 1000


def test_both_kinds_of_outcomes() -> None:
    assert isinstance(parse_outcome(json.dumps(RESULT)), StageResult)
    assert isinstance(parse_outcome(json.dumps(failure())), StageFailure)


# Progress.

LINE = '{"type":"progress","stage":"train-one","done":4,"total":10,"unit":"steps","metrics":{"loss":1.5}}'


@pytest.mark.parametrize(
    "log",
    [
        LINE,
        f"{LINE}\n",
        f"I1125 12:00:00 tpu.cc:40] compiled\n{LINE}\nWARNING: something\n",
        f'{LINE.replace("4", "3", 1)}\n{LINE}\n{{"level": "info", "msg": "no progress here"}}',
        f'{LINE}\n{{"type":"progress","stage":"train-one","done":5,"to',
        f'ess","done":2,"total":10,"unit":"steps"}}\n{LINE}',
        f"{LINE}\r\n",
        f'{LINE}\n{{"type":"progress","done":"many"}}',
        f'100%|##########| 4/4\x1b[A\r\n{LINE}\n{{"progress"}}',
    ],
)
def test_the_last_progress_line_of_a_noisy_log(log: str) -> None:
    seen = parse_progress(log)
    assert seen is not None
    assert (seen.done, seen.total, seen.unit, seen.metrics) == (4, 10, "steps", {"loss": 1.5})


@pytest.mark.parametrize(
    "log", ["", "\n\n", "starting", '{"type": "result"}', '{"progress": 1}', '{"progress":' * 2000]
)
def test_a_log_without_progress(log: str) -> None:
    assert parse_progress(log) is None


@settings(max_examples=50, deadline=None, database=None)
@given(st.lists(st.one_of(st.text(), st.just(LINE), st.just(LINE[:40]), st.just(LINE[40:]))))
def test_noise_never_breaks_the_reading_of_progress(lines: list[str]) -> None:
    seen = parse_progress("\n".join(lines))
    assert seen is None or seen.done == 4


@pytest.mark.parametrize(("status", "disrupted"), [("True", True), ("False", False)])
def test_a_pod_that_is_taken_away_is_disrupted(status: str, disrupted: bool) -> None:
    taken = {"type": "DisruptionTarget", "status": status, "reason": "PreemptionByScheduler"}
    assert read_pod(pod("Running", conditions=[taken])).disrupted is disrupted


# Queues.


def workload(kind: str, status: str, message: str) -> Object:
    return {"status": {"conditions": [{"type": kind, "status": status, "reason": "R", "message": message}]}}


def shard(phase: str, annotations: Object, **status: Any) -> Pod:
    """A pod of a Job that tries each index again by itself."""
    raw = pod(phase, **status)
    raw["metadata"]["annotations"] = annotations
    return read_pod(raw)


FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
TAKEN = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "for another"}


@pytest.mark.parametrize(
    ("seen", "counts"),
    [
        (shard("Running", {FAILURES: "0"}), (0, 0)),
        (shard("Running", {FAILURES: "2", IGNORED: "1"}), (2, 1)),
        (shard("Failed", {FAILURES: "2", IGNORED: "1"}), (3, 1)),
        (shard("Failed", {FAILURES: "2"}, conditions=[TAKEN]), (2, 1)),
        # It runs on for its grace period: Kubernetes counts its end.
        (shard("Running", {FAILURES: "2"}, conditions=[TAKEN]), (2, 0)),
        (shard("Succeeded", {FAILURES: "2", IGNORED: "1"}), (2, 1)),
    ],
)
def test_failures_of_an_index_are_those_before_the_pod_and_its_own(seen: Pod, counts: tuple[int, int]) -> None:
    assert (seen.index_failures, seen.index_disruptions) == counts


def test_a_verdict_is_no_failure_of_an_index() -> None:
    raw = pod("Failed", terminated(65))
    raw["metadata"]["annotations"] = {FAILURES: "1"}
    assert read_pod(raw).index_failures == 1


def test_a_pod_that_its_suspended_job_has_deleted_is_no_failure_of_its_index() -> None:
    raw = pod("Failed", terminated(143))
    raw["metadata"].update(annotations={FAILURES: "1"}, deletionTimestamp=ENDED_AT)
    assert read_pod(raw).index_failures == 1


def test_pods_of_other_jobs_have_no_count_of_an_index() -> None:
    assert read_pod(pod("Failed", terminated(1))).index_failures == 0


@pytest.mark.parametrize("text", ["", "-1", "1.5", "many", "٣", "²", "9" * 5000, "2147483648", "99999999999"])
def test_a_count_that_kubernetes_would_not_write_is_none(text: str) -> None:
    seen = shard("Running", {FAILURES: text, IGNORED: text})
    assert (seen.index_failures, seen.index_disruptions) == (0, 0)
    raw = pod()
    raw["metadata"]["labels"] |= {"batch.kubernetes.io/job-completion-index": text}
    assert read_pod(raw).index == 0


def test_a_pod_that_was_taken_away_tells_by_what() -> None:
    seen = read_pod(pod("Failed", terminated(143), conditions=[TAKEN]))
    assert seen.exit_text == "PreemptionByScheduler: for another; exit code 143"


def test_a_pod_belongs_to_the_job_that_controls_it() -> None:
    raw = pod()
    assert read_pod(raw).owner == ""
    raw["metadata"]["ownerReferences"] = [{"kind": "Job", "uid": "job-uid", "controller": True}]
    assert read_pod(raw).owner == "job-uid"


def test_why_a_child_is_held_is_told_in_kueues_words() -> None:
    held = child("Job")
    held["spec"]["suspend"] = True
    seen = observe(UID, [held], [], [], {}, {}, {held["metadata"]["name"]: "insufficient quota for google.com/tpu"})
    assert seen.children[held["metadata"]["name"]].message == "insufficient quota for google.com/tpu"


@pytest.mark.parametrize(
    ("workloads", "message"),
    [
        ([workload("QuotaReserved", "False", "couldn't assign flavors")], "couldn't assign flavors"),
        ([workload("Evicted", "True", "Preempted to accommodate a workload")], "Preempted to accommodate a workload"),
        ([workload("QuotaReserved", "True", "Quota reserved in ClusterQueue tpus")], None),
        ([{}], None),
        ([], None),
    ],
)
def test_what_kueue_says(workloads: list[Object], message: str | None) -> None:
    assert queue_message(workloads) == message


def test_the_last_refusal_of_a_pod_counts() -> None:
    events: list[Object] = [
        {"lastTimestamp": "2026-11-26T06:00:09Z", "message": "new"},
        {"lastTimestamp": "2026-11-26T06:00:00Z", "message": "old"},
        {"lastTimestamp": None, "eventTime": None, "message": "undated"},
    ]
    assert refusal_message(events) == "new"
    assert refusal_message([]) is None


@pytest.mark.parametrize("begun", ["2026-11-25T12:00:00Z", "2026-11-25T11:00:00Z", "0001-01-01T00:00:00Z"])
def test_no_pod_runs_before_it_was_made(begun: str) -> None:
    """A node whose clock is behind, or wrong: its chips aren't charged for the time before."""
    told = pod("Running", {"running": {}}, startTime=begun)
    told["metadata"]["creationTimestamp"] = ENDED_AT
    assert read_pod(told).started == bare_pods([told])[0].started == ENDED
