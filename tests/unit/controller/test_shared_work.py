"""Of which directories of its storage a job is told that another one works there."""

from typing import Any

import pytest

from distillation_operator.controller.cache import Cache
from distillation_operator.manifests.labels import FINGERPRINT_ANNOTATION, OUTPUT_ANNOTATION, child_labels

CLAIM = {"persistentVolumeClaim": {"claimName": "claim"}}
BUCKET = {"gcs": {"bucket": "bucket"}}
DIRECTORY = "distillation/train-one/0123456789abcdef"
OURS = ("ml", "ours")


def job(name: str, storage: dict[str, Any], namespace: str = "ml") -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name, "uid": f"uid-{namespace}-{name}", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"storage": storage}}


def child(of: dict[str, Any], version: int = 1, name: str = "train-one-0", **facts: Any) -> dict[str, Any]:
    owner = of["metadata"]
    return {
        "kind": "JobSet",
        "metadata": {
            "name": f"{owner['name']}-{name}",
            "namespace": owner["namespace"],
            "uid": f"uid-{owner['namespace']}-{owner['name']}-{name}",
            "resourceVersion": str(version),
            "labels": child_labels(owner["name"], "train-one", 0, f"{owner['name']}-{name}"),
            "annotations": {FINGERPRINT_ANNOTATION: "0123456789abcdef", OUTPUT_ANNOTATION: DIRECTORY},
            "ownerReferences": [{"uid": owner["uid"], "controller": True}],
        },
        "spec": {"suspend": False},
        "status": {},
        **facts,
    }


def cache_with(*jobs: dict[str, Any]) -> Cache:
    cache = Cache()
    for one in (job("ours", CLAIM), *jobs):
        cache.put_job(one)
    return cache


def test_a_child_of_another_job_is_at_work_until_it_has_ended() -> None:
    theirs = job("theirs", CLAIM)
    cache = cache_with(theirs)
    assert cache.at_work(OURS) == {}
    cache.put_child("JobSet", child(theirs))
    assert cache.at_work(OURS) == {DIRECTORY: "ml/theirs"}
    assert cache.at_work(("ml", "theirs")) == {}, "its own is no other's"
    ended = {"conditions": [{"type": "Completed", "status": "True", "lastTransitionTime": "2026-11-25T12:00:00Z"}]}
    cache.put_child("JobSet", child(theirs, 2, status=ended))
    assert cache.at_work(OURS) == {}


def test_what_a_queue_holds_does_not_work() -> None:
    theirs = job("theirs", CLAIM)
    cache = cache_with(theirs)
    cache.put_child("JobSet", child(theirs, spec={"suspend": True}))
    assert cache.at_work(OURS) == {}
    cache.put_child("JobSet", child(theirs, 2))
    assert cache.at_work(OURS) == {DIRECTORY: "ml/theirs"}


@pytest.mark.parametrize("gone", ["child", "job"])
def test_what_is_deleted_does_not_work(gone: str) -> None:
    theirs = job("theirs", CLAIM)
    cache = cache_with(theirs)
    cache.put_child("JobSet", child(theirs))
    if gone == "child":
        cache.drop_child("JobSet", child(theirs))
    else:
        cache.drop_job(("ml", "theirs"))
    assert cache.at_work(OURS) == {}


@pytest.mark.parametrize(
    ("storage", "namespace"),
    [
        pytest.param({"persistentVolumeClaim": {"claimName": "other"}}, "ml", id="another claim"),
        pytest.param(BUCKET, "ml", id="a bucket"),
        pytest.param(CLAIM, "other", id="another namespace's claim"),
    ],
)
def test_another_storage_is_another_place(storage: dict[str, Any], namespace: str) -> None:
    theirs = job("theirs", storage, namespace)
    cache = cache_with(theirs)
    cache.put_child("JobSet", child(theirs))
    assert cache.at_work(OURS) == {}


def test_a_bucket_that_another_namespace_names_holds_nobody_up() -> None:
    """Whoever may write a job in any namespace could stop all others by that."""
    cache = cache_with()
    cache.put_job(job("mine", BUCKET))
    theirs = job("theirs", BUCKET, "other")
    cache.put_job(theirs)
    cache.put_child("JobSet", child(theirs))
    assert cache.at_work(("ml", "mine")) == {}


def test_only_what_was_asked_for_makes_a_difference() -> None:
    """Hundreds of jobs of one storage begin and end work of their own."""
    other = job("other", CLAIM)
    cache = cache_with(other)
    before = cache.at_work(OURS)
    assert before.get(DIRECTORY) is None
    elsewhere = child(other, name="export-0")
    elsewhere["metadata"]["annotations"] = {**elsewhere["metadata"]["annotations"], OUTPUT_ANNOTATION: "elsewhere"}
    cache.put_child("JobSet", elsewhere)
    assert cache.at_work(OURS) == before
    cache.put_child("JobSet", child(other))
    assert cache.at_work(OURS) != before
    assert before.get(DIRECTORY) is None, "as it was when it was asked for"
