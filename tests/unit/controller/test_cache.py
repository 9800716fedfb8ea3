"""The cache: the newest version wins, and another object of the same name is another object."""

from typing import Any

from distillation_operator.controller.cache import Cache
from distillation_operator.manifests.labels import child_labels
from distillation_operator.manifests.reading import JOBSET_NAME_LABEL

KEY = ("ns", "job")


def child(name: str, version: int, uid: str = "u1", **labels: str) -> dict[str, Any]:
    return {
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": uid,
            "resourceVersion": str(version),
            "labels": {**child_labels("job", "generate", 0, name), **labels},
            "managedFields": ["large"],
        },
        "spec": {"template": "large", "suspend": True},
        "status": {"seen": version},
    }


def seen(cache: Cache) -> list[int]:
    return [c["status"]["seen"] for c in cache.children(KEY, "Job")]


def test_an_older_version_does_not_replace_a_newer_one() -> None:
    cache = Cache()
    cache.put_child("Job", child("c", 9))
    cache.put_child("Job", child("c", 8))
    assert seen(cache) == [9]


def test_versions_are_compared_as_numbers() -> None:
    cache = Cache()
    cache.put_child("Job", child("c", 9))
    cache.put_child("Job", child("c", 10))
    assert seen(cache) == [10]


def test_a_late_deletion_of_a_predecessor_does_not_remove_its_successor() -> None:
    cache = Cache()
    cache.put_child("Job", child("c", 5, uid="new"))
    cache.drop_child("Job", child("c", 4, uid="old"))
    assert seen(cache) == [5]
    cache.drop_child("Job", child("c", 6, uid="new"))
    assert seen(cache) == []


def test_a_fresh_list_removes_what_a_broken_watch_has_missed() -> None:
    cache = Cache()
    cache.put_child("Job", child("gone", 1))
    cache.put_child("Pod", child("stays", 2))
    cache.replace_children(KEY, "Job", [child("new", 3)])
    assert seen(cache) == [3]
    assert len(cache.children(KEY, "Pod")) == 1


def test_objects_without_our_labels_are_nobodys() -> None:
    cache = Cache()
    stranger = child("c", 1)
    stranger["metadata"]["labels"] = {"app": "web"}
    assert cache.put_child("Job", stranger) is None


def test_jobs_made_by_a_jobset_are_not_attempts() -> None:
    cache = Cache()
    cache.put_child("Job", child("set-slice-0", 1, **{JOBSET_NAME_LABEL: "set"}))
    assert cache.own_children(KEY) == []


def test_only_what_decisions_need_is_kept() -> None:
    cache = Cache()
    cache.put_child("Job", child("c", 1))
    (kept,) = cache.children(KEY, "Job")
    assert "large" not in str(kept)
    assert kept["spec"]["suspend"] is True
