"""What determines the results can't change; what steers the run can."""

from typing import Any

import pytest
from kubernetes import client
from kubernetes.client import ApiException

from cluster.wrong_manifests import GOOD
from distillation_api.resource import GROUP, PLURAL, VERSION
from support.objects import Jobs, refusal

FIXED: dict[str, dict[str, Any]] = {
    "teacher": {"source": {"huggingFace": {"revision": "v2"}}},
    "student": {"maxTextModel": "llama3.1-8b"},
    "dataset": {"limit": 1000},
    "storage": {"prefix": "elsewhere"},
    "generation": {"sampling": {"seed": 1}},
    "training": {"accelerator": {"type": "tpu-v4-podslice", "topology": "2x2x2", "slices": 4}},
    "conversion": {"maxKl": 0.1},
    "evaluation": {"require": {"minCrossEntropyDrop": 0.1}},
    "export": {"to": {"path": "published"}},
}
FREE: dict[str, Any] = {
    "suspend": True,
    "retries": {"failures": 7},
    "ttlSecondsAfterFinished": 60,
    "queue": {"name": "another"},
    "huggingFaceToken": {"secretName": "another"},
    "pod": {"priorityClassName": "batch"},
}


def test_what_determines_the_results_is_fixed(jobs: Jobs) -> None:
    before = jobs.create(GOOD)
    for member, value in FIXED.items():
        with pytest.raises(ApiException) as refused:
            jobs.patch("good", {member: value})
        assert f"spec.{member}: " in refusal(refused.value)
        assert f"{member} can't be changed" in refusal(refused.value)
    assert jobs.get("good")["spec"] == before["spec"]


STATUSES: list[dict[str, Any]] = [
    {"phase": "Running", "currentStage": "generate"},
    {"phase": "Running", "currentStage": "generate", "progress": "3%"},
    {"phase": "Suspended", "currentStage": "generate", "progress": "3%"},
    {"phase": "Complete"},
]
"""What the operator writes, one after the other; the rules about large parts compare nothing where they see a write of
the status."""


def test_it_stays_fixed_beside_every_status(jobs: Jobs, api_client: client.ApiClient) -> None:
    replace = client.CustomObjectsApi(api_client).replace_namespaced_custom_object
    spec = jobs.create(GOOD)["spec"]
    for status in (None, *STATUSES):
        if status is not None:
            jobs.replace_status("good", status)
        made = jobs.get("good")
        assert made.get("status", {}).items() >= (status or {}).items() and made["spec"] == spec
        for member in ("training", "generation"):
            changed = {**made["spec"], member: {**made["spec"][member], **FIXED[member]}}
            # With another status, which the API server leaves as it is at this endpoint.
            body = {**made, "spec": changed, "status": {"currentStage": "another", "progress": "99%"}}
            with pytest.raises(ApiException) as refused:
                replace(GROUP, VERSION, jobs.namespace, PLURAL, "good", body)
            assert f"spec.{member}: " in refusal(refused.value)
            assert f"{member} can't be changed" in refusal(refused.value)
    jobs.replace_status("good", {})


def test_what_steers_the_run_can_change(jobs: Jobs) -> None:
    jobs.create(GOOD)
    for member, value in FREE.items():
        changed = jobs.patch("good", {member: value})["spec"][member]
        assert changed == ({**changed, **value} if isinstance(value, dict) else value)


@pytest.mark.parametrize("member", ["generation", "training", "conversion", "evaluation"])
def test_pods_may_be_given_more_memory(jobs: Jobs, member: str) -> None:
    """A job that has failed for want of it goes on by a retry."""
    jobs.create(GOOD)
    for memory in ("40Gi", "80Gi", None):
        changed = jobs.patch("good", {member: {"resources": {"memory": memory}}})["spec"][member]
        assert changed["resources"].get("memory") == memory


def test_a_training_may_be_given_more_time_to_save(jobs: Jobs) -> None:
    jobs.create(GOOD)
    for seconds in (900, 30, None):
        changed = jobs.patch("good", {"training": {"terminationGracePeriodSeconds": seconds}})["spec"]["training"]
        assert changed.get("terminationGracePeriodSeconds") == seconds
    with pytest.raises(ApiException) as refused:
        jobs.patch("good", {"training": {"terminationGracePeriodSeconds": 3601}})
    assert "spec.training.terminationGracePeriodSeconds: Invalid value: 3601" in refusal(refused.value)


def test_the_queue_can_be_left(jobs: Jobs) -> None:
    jobs.create(GOOD)
    assert "queue" not in jobs.patch("good", {"queue": None})["spec"]
