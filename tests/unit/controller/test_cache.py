"""The cache: the newest version wins, and another object of the same name is another object."""

from typing import Any

from distillation_operator.controller.cache import Cache, is_made_by_jobset
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
    cache.replace_children(KEY, "Job", [child("new", 3)], 4)
    assert seen(cache) == [3]
    assert len(cache.children(KEY, "Pod")) == 1


def test_a_list_that_was_overtaken_by_a_watch_does_not_bring_the_past_back() -> None:
    cache = Cache()
    cache.put_job({"metadata": {"namespace": "ns", "name": "job", "resourceVersion": "1"}})
    cache.put_child("Job", child("changed", 7, uid="a"))
    cache.put_child("Job", child("made", 8, uid="b"))
    cache.put_child("Job", child("removed", 3, uid="c"))
    cache.drop_child("Job", child("removed", 9, uid="c"))
    cache.put_child("Job", child("made again", 10, uid="e"))
    overtaken = [child("changed", 2, uid="a"), child("removed", 3, uid="c"), child("made again", 4, uid="d")]
    cache.replace_children(KEY, "Job", overtaken, 5)
    assert sorted(seen(cache)) == [7, 8, 10]


def test_where_the_kind_is_gone_nothing_of_it_is_left() -> None:
    cache = Cache()
    cache.put_child("Job", child("c", 7))
    cache.replace_children(KEY, "Job", [], None)
    assert seen(cache) == []


def test_objects_without_our_labels_are_nobodys() -> None:
    cache = Cache()
    stranger = child("c", 1)
    stranger["metadata"]["labels"] = {"app": "web"}
    assert cache.put_child("Job", stranger) is None


def test_jobs_made_by_a_jobset_are_not_attempts() -> None:
    assert is_made_by_jobset(child("set-slice-0", 1, **{JOBSET_NAME_LABEL: "set"}))
    assert not is_made_by_jobset(child("set", 1))


def test_only_what_decisions_need_is_kept() -> None:
    cache = Cache()
    cache.put_child("Job", child("c", 1))
    (kept,) = cache.children(KEY, "Job")
    assert "large" not in str(kept)
    assert kept["spec"]["suspend"] is True
