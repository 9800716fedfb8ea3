"""The operator on a real API server, Job controller and JobSet controller; pods are finished by the test."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from support.eventually import eventually
from support.objects import Jobs
from support.operating import Operator, Pods, stage_spec
from support.small_job import (
    FIRST,
    NAME,
    batch_of,
    condition,
    finish_first,
    finish_generation,
    manifest,
    stage,
    wait_state,
)


def test_a_job_runs_in_dataflow_order_to_complete_and_then_nothing_is_written(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str
) -> None:
    """Case 8."""
    jobs.create(manifest())
    finish_first(pods)
    pods.wait("convert-student")
    assert not pods.of_stage("train-one"), "training needs the teacher's answers"
    finish_generation(pods, counts={"kept": 7}, metrics={})
    wait_state(jobs, "pack-one", "Complete")
    assert not pods.of_stage("train-one"), "training needs the converted student"
    pods.succeed("convert-student", metrics={"kl": 0.0005})
    pods.succeed("train-one", 2, outputs={"checkpoint": "c/1"}, metrics={"loss": 2.5})
    pods.succeed("train-two", outputs={"checkpoint": "c/2"}, metrics={"loss": 1.25})
    pods.succeed("export-one", outputs={"model": "distillation/export/between"})
    pods.succeed("export", outputs={"model": "distillation/export/m"})
    pods.succeed("evaluate", metrics={"crossEntropyBefore": 13.5, "crossEntropyAfter": 5.5})
    eventually("Complete", lambda: condition(jobs, "Complete").get("status") == "True")

    job = jobs.get(NAME)
    status = job["status"]
    assert status["phase"] == "Complete"
    assert status["results"] == {
        "crossEntropyBefore": "13.5",
        "crossEntropyAfter": "5.5",
        "exportedModel": "distillation/export/m",
    }
    assert [s["state"] for s in status["stages"]] == ["Complete"] * 13
    assert stage(jobs, "generate")["counts"] == {"kept": 14}, "the shards' counts are added up"
    assert status["loss"] == "1.25"
    assert {c["type"]: c["status"] for c in status["conditions"]}["Failed"] == "False"
    assert all("startTime" in s and "completionTime" in s for s in status["stages"])
    assert set(job["metadata"].get("annotations", {})) == {"argocd.argoproj.io/tracking-id"}
    assert "finalizers" not in job["metadata"]

    children = batch_of(api_client).list_namespaced_job(namespace).items
    assert all("argocd.argoproj.io/tracking-id" not in (c.metadata.annotations or {}) for c in children)
    objects: Any = client.CustomObjectsApi(api_client)
    jobsets = objects.list_namespaced_custom_object("jobset.x-k8s.io", "v1alpha2", namespace, "jobsets")
    assert sorted(j["metadata"]["name"] for j in jobsets["items"]) == [f"{NAME}-train-one-0", f"{NAME}-train-two-0"]

    # At rest and after a restart: zero writes. A job that comes later is told of, so the earlier one was looked at.
    operator.end(signal.SIGTERM)
    operator.start()
    later = manifest()
    later["metadata"]["name"] = "later"
    jobs.create(later)
    eventually("the later job is seen", lambda: (jobs.get("later").get("status") or {}).get("stages"))
    assert jobs.get(NAME)["metadata"]["resourceVersion"] == job["metadata"]["resourceVersion"]

    # A change of what may change is acknowledged, and nothing runs again.
    jobs.patch(NAME, {"ttlSecondsAfterFinished": 3600})
    eventually("new generation seen", lambda: jobs.get(NAME)["status"]["observedGeneration"] == 2)
    assert jobs.get(NAME)["status"]["stages"] == status["stages"]


def test_killed_operator_creates_nothing_twice(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str
) -> None:
    """Cases 37 and 56."""
    jobs.create(manifest())
    before = {name: pods.wait(name)[0].metadata.uid for name in FIRST}
    operator.end()
    pods.succeed("fetch-teacher")
    operator.start()
    wait_state(jobs, "fetch-teacher", "Complete")
    assert pods.wait("fetch-student")[0].metadata.uid == before["fetch-student"]
    children = batch_of(api_client).list_namespaced_job(namespace).items
    assert sorted(c.metadata.name for c in children) == sorted(f"{NAME}-{name}-0" for name in FIRST)
    assert stage(jobs, "fetch-student")["attempts"] == {"failures": 0, "disruptions": 0}


def test_a_termination_ends_the_operator_well(jobs: Jobs, pods: Pods, operator: Operator) -> None:
    jobs.create(manifest())
    pods.wait("fetch-teacher")
    assert operator.end(signal.SIGTERM) == 0
    assert "Traceback" not in operator.text()
    operator.start()


def test_a_programs_verdict_fails_the_job_at_once_and_stops_what_runs(
    jobs: Jobs, pods: Pods, operator: Operator
) -> None:
    jobs.create(manifest())
    pods.wait("fetch-teacher")
    pods.fail("prepare-dataset", 65, "MissingColumn", "no column messages; the columns are: text")
    failed = eventually(
        "Failed", lambda: condition(jobs, "Failed").get("status") == "True" and condition(jobs, "Failed")
    )
    assert failed["reason"] == "MissingColumn"
    assert "no column messages; the columns are: text" in failed["message"]
    assert condition(jobs, "Complete")["status"] == "False"
    assert stage(jobs, "prepare-dataset")["attempts"]["failures"] == 0
    eventually("the others are stopped", lambda: not pods.of_stage("fetch-teacher"))


def test_a_crash_is_tried_again_in_a_new_attempt(jobs: Jobs, pods: Pods, operator: Operator) -> None:
    """Case 18."""
    jobs.create(manifest(retries={"failures": 1}))
    first = pods.wait("fetch-teacher")[0].metadata.name
    pods.fail("fetch-teacher", 1, "ProgramCrashed", "ValueError: boom")
    retried = eventually("attempt 1", lambda: stage(jobs, "fetch-teacher").get("attempt") == 1)
    assert retried
    second = pods.wait("fetch-teacher")[0].metadata.name
    assert second.startswith(f"{NAME}-fetch-teacher-1-") and second != first
    assert stage(jobs, "fetch-teacher")["attempts"] == {"failures": 1, "disruptions": 0}
    pods.fail("fetch-teacher", 1, "ProgramCrashed", "ValueError: boom")
    wait_state(jobs, "fetch-teacher", "Failed", "ProgramCrashed")


def test_an_evicted_pod_ends_its_attempt_and_counts_as_a_disruption(jobs: Jobs, pods: Pods, operator: Operator) -> None:
    jobs.create(manifest(retries={"failures": 0, "disruptions": 1}))
    pods.evict("fetch-teacher")
    eventually("attempt 1", lambda: stage(jobs, "fetch-teacher").get("attempt") == 1)
    assert pods.wait("fetch-teacher")[0].metadata.name.startswith(f"{NAME}-fetch-teacher-1-")
    assert stage(jobs, "fetch-teacher")["attempts"] == {"failures": 0, "disruptions": 1}
    pods.evict("fetch-teacher")
    told = wait_state(jobs, "fetch-teacher", "Failed", "PodDisrupted")
    assert told["attempts"] == {"failures": 0, "disruptions": 2}
    assert [" was evicted" in failure["message"] for failure in jobs.get(NAME)["status"]["lastFailures"]] == 2 * [True]


def test_a_deleted_pod_is_told_as_that_and_not_as_a_limit_that_was_reached(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str
) -> None:
    """Of a Job, and of a JobSet with several hosts."""
    core: Any = client.CoreV1Api(api_client)

    def delete(name: str, count: int) -> dict[str, Any]:
        pods.run(name, count)
        wait_state(jobs, name, "Running")
        core.delete_namespaced_pod(pods.wait(name, count)[0].metadata.name, namespace, grace_period_seconds=0)
        eventually("attempt 1", lambda: stage(jobs, name).get("attempt") == 1)
        return dict(jobs.get(NAME)["status"]["lastFailures"][-1])

    jobs.create(manifest())
    assert delete("fetch-teacher", 1)["reason"] == "PodDeleted"
    finish_first(pods)
    finish_generation(pods)
    pods.succeed("convert-student")
    failure = delete("train-one", 2)
    assert (failure["class"], failure["reason"]) == ("Crash", "PodDeleted")
    assert "was deleted" in failure["message"]


def test_what_shards_cost_is_shown_while_their_job_tries_them_again(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str
) -> None:
    jobs.create(manifest(retries={"failures": 2, "disruptions": 1}))
    finish_first(pods)
    pods.fail("generate", 1, "ProgramCrashed", "ValueError: boom", count=2)

    def counted(failures: int, disruptions: int) -> bool:
        return stage(jobs, "generate").get("attempts") == {"failures": failures, "disruptions": disruptions}

    eventually("the crash is counted", lambda: counted(1, 0))
    pods.evict("generate", 2)
    eventually("the eviction is counted", lambda: counted(1, 1))
    assert stage(jobs, "generate")["attempt"] == 0

    # Kubernetes has counted the same: what is shown is still there without the pods that have failed.
    core: Any = client.CoreV1Api(api_client)
    pods.wait("generate", 2)
    for pod in core.list_namespaced_pod(namespace, field_selector="status.phase=Failed").items:
        core.delete_namespaced_pod(pod.metadata.name, namespace)
    pods.evict("generate", 2)
    told = wait_state(jobs, "generate", "Failed", "PodDisrupted")
    assert told["attempts"] == {"failures": 1, "disruptions": 2}
    eventually("its shards are stopped", lambda: not pods.of_stage("generate"))


def test_a_training_pod_that_dies_ends_its_attempt_and_the_next_one_starts(
    jobs: Jobs, pods: Pods, operator: Operator
) -> None:
    jobs.create(manifest())
    finish_first(pods)
    finish_generation(pods)
    pods.succeed("convert-student")
    old = {pod.metadata.name for pod in pods.wait("train-one", 2)}
    pods.fail("train-one", 137, "Killed", "", count=2)

    def new_ones() -> list[str] | None:
        names = [pod.metadata.name for pod in pods.of_stage("train-one") if pod.metadata.name not in old]
        return names if len(names) == 2 else None

    assert all(name.startswith(f"{NAME}-train-one-1-slice-0-") for name in eventually("two new pods", new_ones))


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ImagePullBackOff", 'Back-off pulling image "nowhere/teacher:1"'),
        ("CreateContainerConfigError", 'secret "hf-token" not found'),
    ],
)
def test_why_a_pod_does_not_start_is_told(
    jobs: Jobs, pods: Pods, operator: Operator, reason: str, message: str
) -> None:
    jobs.create(manifest())
    pods.wait_for_image("fetch-teacher", reason, message)
    told = wait_state(jobs, "fetch-teacher", "Pending", reason)
    assert told["message"] == message
    pods.run("fetch-teacher")
    assert "reason" not in wait_state(jobs, "fetch-teacher", "Running")


def test_an_unschedulable_pod_is_told_with_the_schedulers_words_and_an_event(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str
) -> None:
    jobs.create(manifest())
    told = wait_state(jobs, "fetch-teacher", "Pending", "Unschedulable")
    assert "nodes" in told["message"] or "persistentvolumeclaim" in told["message"]

    def events() -> list[Any]:
        core: Any = client.CoreV1Api(api_client)
        told = core.list_namespaced_event(namespace).items
        return [e for e in told if e.reason == "Unschedulable" and e.involved_object.kind == "DistillationJob"]

    first, *others = eventually("an Event", events)
    assert first.first_timestamp is not None and first.last_timestamp is not None and first.count == 1
    # What all of the first stages wait for is told once.
    assert not any(other.message.partition(": ")[2] == first.message.partition(": ")[2] for other in others)


def test_quota_is_told_and_the_job_goes_on_when_there_is_room(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str
) -> None:
    """Case 21."""
    core: Any = client.CoreV1Api(api_client)
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    core.create_namespaced_resource_quota(namespace, quota)
    eventually("quota in force", lambda: core.read_namespaced_resource_quota("none", namespace).status.hard)
    jobs.create(manifest())
    told = wait_state(jobs, "fetch-teacher", "Pending", "QuotaExceeded")
    assert "exceeded quota: none" in told["message"]
    core.delete_namespaced_resource_quota("none", namespace)
    pods.wait("fetch-teacher")


def test_why_no_pod_can_be_made_is_told_and_the_job_goes_on_when_that_is_mended(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str
) -> None:
    jobs.create(manifest(pod={"serviceAccountName": "distill"}))
    told = wait_state(jobs, "fetch-teacher", "Pending", "PodsRefused")
    assert 'serviceaccount "distill" not found' in told["message"]
    core: Any = client.CoreV1Api(api_client)
    core.create_namespaced_service_account(namespace, {"metadata": {"name": "distill"}})
    pods.wait("fetch-teacher")
    assert wait_state(jobs, "fetch-teacher", "Pending", "Unschedulable")


def test_an_object_of_the_same_name_that_is_not_ours_is_told_and_left_alone(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str
) -> None:
    """Case 37."""
    batch = batch_of(api_client)
    container = {"name": "c", "image": "i"}
    foreign = {
        "metadata": {"name": f"{NAME}-fetch-teacher-0"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }
    uid = batch.create_namespaced_job(namespace, foreign).metadata.uid
    jobs.create(manifest())
    told = wait_state(jobs, "fetch-teacher", "Pending", "NameTaken")
    assert f"{NAME}-fetch-teacher-0" in told["message"]
    assert batch.read_namespaced_job(f"{NAME}-fetch-teacher-0", namespace).metadata.uid == uid
    batch.delete_namespaced_job(f"{NAME}-fetch-teacher-0", namespace, propagation_policy="Background")
    assert stage_spec(pods.wait("fetch-teacher")[0]).stage == "fetch-teacher"


def test_suspend_stops_the_pods_and_resume_goes_on_from_what_is_done(
    jobs: Jobs, pods: Pods, operator: Operator
) -> None:
    jobs.create(manifest())
    pods.succeed("fetch-teacher")
    wait_state(jobs, "fetch-teacher", "Complete")
    jobs.patch(NAME, {"suspend": True})
    eventually("Suspended", lambda: condition(jobs, "Suspended").get("status") == "True")
    eventually("no pods", lambda: not pods.of_stage("fetch-student"))
    jobs.patch(NAME, {"suspend": False})
    pods.succeed("fetch-student")
    assert wait_state(jobs, "fetch-student", "Complete")["attempts"] == {"failures": 0, "disruptions": 0}
    assert not pods.of_stage("fetch-teacher")


def limit_of_memory(pod: Any) -> str:
    return str(pod.spec.containers[0].resources.limits["memory"])


def test_a_failed_job_is_taken_up_again_by_an_annotation(
    jobs: Jobs, pods: Pods, operator: Operator, kubectl: Callable[..., str]
) -> None:
    jobs.create(manifest(retries={"failures": 0}))
    pods.fail("prepare-dataset", 65, "MissingColumn", "no column messages")
    eventually("Failed", lambda: condition(jobs, "Failed").get("status") == "True")
    [failure] = jobs.get(NAME)["status"]["lastFailures"]
    assert (failure["class"], failure["reason"], failure["exitCode"]) == ("Permanent", "MissingColumn", 65)
    jobs.patch(NAME, {"conversion": {"resources": {"memory": "3Gi"}}})
    kubectl("annotate", "dj", NAME, "-n", jobs.namespace, "distillation.dev/retry=prepare-dataset/1", "--overwrite")
    # Pods that come after a change are made as the spec is now.
    eventually("a pod of 3Gi", lambda: "3Gi" in [limit_of_memory(pod) for pod in pods.of_stage("prepare-dataset")])
    pods.succeed("prepare-dataset")
    wait_state(jobs, "prepare-dataset", "Complete")
    assert condition(jobs, "Failed")["status"] == "False"
    assert jobs.get(NAME)["metadata"]["annotations"]["distillation.dev/retry"] == "prepare-dataset/1"
    told = kubectl("get", "events", "-n", jobs.namespace, "-o", "name", "--field-selector", "reason=RetryHeeded")
    assert len(told.split()) == 1


def test_a_budget_that_is_used_stops_the_pods_and_more_of_it_goes_on(
    jobs: Jobs, pods: Pods, operator: Operator
) -> None:
    accelerator = {"type": "tpu-v5-lite-podslice", "topology": "2x4", "chipsPerHost": 8}
    generation = {**manifest()["spec"]["generation"], "shards": 1, "accelerator": accelerator}
    jobs.create(manifest(generation=generation, budget={"maxChipHours": 0.005}))
    finish_first(pods)
    pods.run("generate")
    eventually("the end of the budget", lambda: condition(jobs, "Suspended").get("reason") == "BudgetReached")
    eventually("no pod", lambda: not pods.of_stage("generate"))
    assert stage(jobs, "generate")["chipSeconds"] >= 18
    jobs.patch(NAME, {"budget": {"maxChipHours": 1}})
    pods.succeed("generate")
    assert wait_state(jobs, "generate", "Complete")["attempt"] == 1


def test_deleting_the_job_deletes_its_children_without_a_finalizer(
    jobs: Jobs, pods: Pods, operator: Operator, api_client: client.ApiClient, namespace: str
) -> None:
    jobs.create(manifest())
    pods.wait("fetch-teacher")
    jobs.delete(NAME)

    def gone() -> bool:
        try:
            jobs.get(NAME)
        except ApiException as error:
            return bool(error.status == 404)
        return False

    eventually("the job is gone", gone)
    eventually("its children too", lambda: not batch_of(api_client).list_namespaced_job(namespace).items)
    eventually("and their pods", lambda: not pods.of_stage("fetch-teacher"))


def test_a_cluster_without_jobset_is_told_and_the_job_goes_on_when_it_is_installed(
    without_jobset: Callable[[], None], jobs: Jobs, pods: Pods, operator: Operator
) -> None:
    jobs.create(manifest())
    finish_first(pods)
    finish_generation(pods)
    pods.succeed("convert-student")
    told = wait_state(jobs, "train-one", "Pending", "JobSetMissing")
    assert "Install the JobSet controller" in told["message"]
    without_jobset()
    pods.wait("train-one", 2)


def test_a_status_that_was_written_meanwhile_is_decided_anew(jobs: Jobs, pods: Pods, operator: Operator) -> None:
    """Case 15: each write of the operator's meets a conflict now and then; nothing is lost and nothing is stuck."""
    jobs.create(manifest())
    for number, name in enumerate(FIRST):
        for again in range(5):
            jobs.annotate(NAME, {"example.com/touched": f"{number}-{again}"})
        pods.succeed(name)
        jobs.annotate(NAME, {"example.com/touched": f"{number}"})
    for name in FIRST:
        wait_state(jobs, name, "Complete")
    assert jobs.get(NAME)["metadata"]["annotations"]["example.com/touched"] == "2"
    pods.succeed("preflight")
    pods.wait("generate", 2)
