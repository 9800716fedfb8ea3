"""The cache: the newest version wins, another object of the same name is another one, and strangers cost nothing."""

import itertools
from typing import Any

import pytest

from distillation_operator.controller.begun_stages import STAGES_OF_A_JOB
from distillation_operator.controller.cache import Cache, is_made_by_jobset
from distillation_operator.controller.deletions import GONE_KEPT
from distillation_operator.controller.early import IN_ALL, OF_A_JOB, Early
from distillation_operator.manifests.labels import STAGE_LABEL, child_labels
from distillation_operator.manifests.reading import JOBSET_NAME_LABEL

KEY = ("ns", "job")
JOB_UID = "uid-of-the-job"
JOB = {"metadata": {"namespace": "ns", "name": "job", "uid": JOB_UID, "resourceVersion": "1"}}


def child(name: str, version: int, uid: str = "u1", owner: str = JOB_UID, **labels: str) -> dict[str, Any]:
    return {
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": uid,
            "resourceVersion": str(version),
            "labels": {**child_labels("job", "generate", 0, name), **labels},
            "ownerReferences": [{"uid": owner, "controller": True}],
            "managedFields": ["large"],
        },
        "spec": {"template": "large", "suspend": True},
        "status": {"seen": version},
    }


def pod(name: str, owner: str, version: int = 1, **labels: str) -> dict[str, Any]:
    made = child(name, version, f"uid-{name}", owner, **labels)
    state = {"terminated": {"exitCode": 1, "message": "why", "containerID": "large"}}
    status = {"phase": "Failed", "containerStatuses": [{"name": "stage", "state": state}, {"name": "large"}]}
    return {**made, "kind": "Pod", "spec": {"nodeName": "node", "volumes": "large"}, "status": status}


def of_a_job() -> Cache:
    cache = Cache()
    cache.put_job(JOB)
    return cache


def names(cache: Cache, kind: str) -> list[str]:
    return [c["metadata"]["name"] for c in cache.children(KEY, kind)]


def seen(cache: Cache) -> list[int]:
    return [int(c["metadata"]["resourceVersion"]) for c in cache.children(KEY, "Job")]


def test_an_older_version_does_not_replace_a_newer_one() -> None:
    cache = of_a_job()
    cache.put_child("Job", child("c", 9))
    cache.put_child("Job", child("c", 8))
    assert seen(cache) == [9]


def test_a_version_that_differs_in_nothing_that_is_kept_is_no_news() -> None:
    cache = of_a_job()
    cache.put_child("Job", child("c", 9))
    assert cache.put_child("Job", child("c", 10)) is None, "a controller has counted its pods"
    assert seen(cache) == [10]
    assert cache.put_child("Job", child("c", 11) | {"spec": {"suspend": False}}) == KEY


def test_versions_are_compared_as_numbers() -> None:
    cache = of_a_job()
    cache.put_child("Job", child("c", 9))
    cache.put_child("Job", child("c", 10))
    assert seen(cache) == [10]


def test_a_late_deletion_of_a_predecessor_does_not_remove_its_successor() -> None:
    cache = of_a_job()
    cache.put_child("Job", child("c", 5, uid="new"))
    cache.drop_child("Job", child("c", 4, uid="old"))
    assert seen(cache) == [5]
    cache.drop_child("Job", child("c", 6, uid="new"))
    assert seen(cache) == []


def test_a_fresh_list_removes_what_a_broken_watch_has_missed() -> None:
    cache = of_a_job()
    cache.put_child("Job", child("stays", 5, "u2"))
    cache.put_child("Pod", pod("stays", "u2"))
    cache.put_child("Job", child("gone", 1))
    cache.replace_children(KEY, "Job", [child("new", 3)], 4)
    assert seen(cache) == [5, 3]
    assert len(cache.children(KEY, "Pod")) == 1


def test_a_list_that_was_overtaken_by_a_watch_does_not_bring_the_past_back() -> None:
    cache = of_a_job()
    cache.put_child("Job", child("changed", 7, uid="a"))
    cache.put_child("Job", child("made", 8, uid="b"))
    cache.put_child("Job", child("removed", 3, uid="c"))
    cache.drop_child("Job", child("removed", 9, uid="c"))
    cache.put_child("Job", child("made again", 10, uid="e"))
    overtaken = [child("changed", 2, uid="a"), child("removed", 3, uid="c"), child("made again", 4, uid="d")]
    cache.replace_children(KEY, "Job", overtaken, 5)
    assert sorted(seen(cache)) == [7, 8, 10]


def test_where_the_kind_is_gone_nothing_of_it_is_left() -> None:
    cache = of_a_job()
    cache.put_child("Job", child("c", 7))
    cache.replace_children(KEY, "Job", [], None)
    assert seen(cache) == []


def test_objects_without_our_labels_are_nobodys() -> None:
    cache = of_a_job()
    stranger = child("c", 1)
    stranger["metadata"]["labels"] = {"app": "web"}
    assert cache.put_child("Job", stranger) is None


def test_jobs_made_by_a_jobset_are_not_attempts() -> None:
    assert is_made_by_jobset(child("set-slice-0", 1, **{JOBSET_NAME_LABEL: "set"}))
    assert not is_made_by_jobset(child("set", 1))


def test_only_what_decisions_need_is_kept() -> None:
    cache = of_a_job()
    large = child("c", 1, note="large")
    large["metadata"]["annotations"] = {"note": "large" * 50_000, "distillation.dev/output": "large" * 50_000}
    large["status"] = {"conditions": [{"type": "Failed", "status": "True", "message": "m" * 100_000, "note": "large"}]}
    cache.put_child("Job", large)
    cache.put_child("Pod", pod("p", "u1"))
    (job,), (of_job,) = cache.children(KEY, "Job"), cache.children(KEY, "Pod")
    assert "note" not in str(job) and len(str(job)) < 10_000
    assert "large" not in str(of_job) and len(str(of_job)) < 2_000
    assert job["spec"]["suspend"] is True
    assert of_job["status"]["containerStatuses"][0]["state"]["terminated"] == {"exitCode": 1, "message": "why"}


def test_of_a_distillation_job_nothing_is_kept_twice() -> None:
    """kubectl's annotation has all of the spec once more."""
    cache = Cache()
    notes = {"kubectl.kubernetes.io/last-applied-configuration": "large", "distillation.dev/retry": "train-one/2"}
    metadata = {**JOB["metadata"], "annotations": notes, "labels": {"note": "large"}, "managedFields": ["large"]}
    cache.put_job({**JOB, "metadata": metadata, "spec": {"suspend": True}})
    kept = cache.job(KEY)
    assert kept is not None and "large" not in str(kept)
    assert kept["metadata"]["annotations"] == {"distillation.dev/retry": "train-one/2"}


def test_stages_that_strangers_make_up_fill_no_memory() -> None:
    cache = of_a_job()
    cache.begin_list(KEY)
    cache.end_list(KEY)
    for number in range(1000):
        cache.put_child("Pod", pod("p", "nobody", number + 1, **{STAGE_LABEL: f"stage-{number}"}))
    assert len(cache.begun_stages(KEY) or ()) <= STAGES_OF_A_JOB


@pytest.mark.parametrize("kind", ["Job", "JobSet", "Pod"])
@pytest.mark.parametrize("owner", ["another", "", JOB_UID])
def test_what_is_not_ours_is_not_kept_and_nobody_looks_at_it(kind: str, owner: str) -> None:
    """Its labels may name a job; its owner is none of ours, or its DistillationJob doesn't exist."""
    cache = of_a_job() if owner != JOB_UID else Cache()
    for number in range(1000):
        stranger = child(f"c-{number}", 1, f"u{number}", owner)
        assert cache.put_child(kind, stranger) is None
        assert cache.drop_child(kind, stranger) is None
    assert len(cache) <= 1
    assert len(str(vars(cache))) < 200_000


def test_a_fresh_list_keeps_what_is_not_ours_apart() -> None:
    cache = of_a_job()
    ours, others = cache.replace_children(KEY, "Job", [child("a", 1), child("b", 1, "u2", owner="another")], 2)
    assert [[c["metadata"]["name"] for c in part] for part in (ours, others)] == [["a"], ["b"]]
    assert names(cache, "Job") == ["a"]


def test_what_a_jobset_has_made_is_ours() -> None:
    cache = of_a_job()
    cache.put_child("JobSet", child("set", 1, "uid-set"))
    cache.put_child("Job", child("set-slice-0", 2, "uid-slice", "uid-set", **{JOBSET_NAME_LABEL: "set"}))
    assert cache.put_child("Pod", pod("p", "uid-slice")) == KEY
    assert cache.put_child("Pod", pod("q", JOB_UID)) is None, "a DistillationJob owns no pods"
    assert names(cache, "Pod") == ["p"]


def slice_of_a_set(name: str, version: int, uid: str) -> dict[str, Any]:
    return child(name, version, uid, "uid-set", **{JOBSET_NAME_LABEL: "set"})


def test_what_came_before_its_owner_is_known_with_it() -> None:
    """Watches of several kinds tell in any order, here in the wrong one all through."""
    cache = of_a_job()
    cache.end_list(KEY)
    for version in (4, 6, 5):
        assert cache.put_child("Pod", pod("p", "uid-slice", version)) is None
    cache.put_child("Pod", pod("gone", "uid-slice"))
    cache.drop_child("Pod", pod("gone", "uid-slice", 9))
    assert cache.put_child("Job", slice_of_a_set("set-slice-0", 2, "uid-slice")) is None
    assert names(cache, "Pod") == []
    assert cache.put_child("JobSet", child("set", 1, "uid-set")) == KEY
    assert (names(cache, "Job"), names(cache, "Pod")) == (["set-slice-0"], ["p"])
    assert cache.children(KEY, "Pod")[0]["metadata"]["resourceVersion"] == "6"
    assert cache.is_listed(KEY), "nothing was passed over, and nobody has to list it"


def test_of_what_comes_before_its_owner_so_much_is_kept_and_all_is_listed_where_more_came() -> None:
    cache = of_a_job()
    cache.put_child("JobSet", child("set", 1, "uid-set"))
    cache.end_list(KEY)
    for number in range(OF_A_JOB + 1):
        cache.put_child("Pod", pod(f"p{number}", "uid-slice"))
    cache.put_child("Job", slice_of_a_set("set-slice-0", 2, "uid-slice"))
    assert len(names(cache, "Pod")) == OF_A_JOB
    assert not cache.is_listed(KEY)
    cache.begin_list(KEY)
    cache.end_list(KEY)
    cache.put_child("Job", slice_of_a_set("set-slice-1", 3, "uid-other"))
    assert cache.is_listed(KEY), "that list has told all"


def test_what_has_begun_is_known_since_all_was_listed() -> None:
    cache = of_a_job()
    assert cache.begun_stages(KEY) is None
    cache.put_child("Job", child("c", 1, "u1", **{STAGE_LABEL: "before"}))
    cache.begin_sweep()
    gone = child("d", 2, "u2", **{STAGE_LABEL: "gone-meanwhile"})
    cache.put_child("Job", gone)
    cache.drop_child("Job", gone)
    stranger = pod("left", "a Job that is gone")
    stranger["metadata"]["labels"][STAGE_LABEL] = "whose-pods-are-left"
    assert cache.put_child("Pod", stranger) is None
    cache.end_sweep()
    assert cache.begun_stages(KEY) == {"before", "gone-meanwhile", "whose-pods-are-left"}
    cache.put_child("Job", child("e", 3, "u3", **{STAGE_LABEL: "after"}))
    assert "after" in (cache.begun_stages(KEY) or ())
    cache.distrust(KEY)
    assert cache.begun_stages(KEY) is None
    cache.begin_list(KEY)
    cache.put_child("Pod", stranger)
    cache.end_list(KEY)
    assert cache.begun_stages(KEY) == {"before", "after", "whose-pods-are-left"}


def test_what_was_missed_while_all_was_listed_makes_no_stage_new() -> None:
    cache = of_a_job()
    cache.begin_sweep()
    cache.begin_list(KEY)
    cache.distrust(KEY)
    cache.end_list(KEY)
    cache.end_sweep()
    assert cache.begun_stages(KEY) is None


def test_what_has_no_owner_of_ours_fills_no_memory() -> None:
    early = Early()
    for job in range(20):
        for number in range(OF_A_JOB):
            early.keep(("ns", f"job-{job}"), "Pod", pod(f"p{number}", "nobody"))
    kept = [early.take(("ns", f"job-{job}"), "nobody") for job in range(20)]
    assert sum(map(len, kept)) == IN_ALL
    assert early.has_passed_over(("ns", "job-19")) and not early.has_passed_over(("ns", "job-0"))


def test_a_pod_that_outlives_its_job_is_known_until_it_is_gone() -> None:
    cache = of_a_job()
    job = child("c", 1)
    cache.put_child("Job", job)
    cache.put_child("Pod", pod("p", "u1"))
    cache.drop_child("Job", job)
    terminating = pod("p", "u1", version=5)
    terminating["metadata"]["deletionTimestamp"] = "2026-11-25T12:00:00Z"
    assert cache.put_child("Pod", terminating) == KEY
    (known,) = cache.children(KEY, "Pod")
    assert "deletionTimestamp" in known["metadata"]
    assert cache.drop_child("Pod", terminating) == KEY
    assert names(cache, "Pod") == []


def test_a_child_that_was_taken_from_its_owner_is_forgotten() -> None:
    cache = of_a_job()
    cache.put_child("Job", child("c", 1))
    assert cache.put_child("Job", child("c", 2, owner="another")) == KEY
    assert names(cache, "Job") == []


def test_another_job_of_the_same_name_begins_with_nothing() -> None:
    cache = of_a_job()
    cache.put_child("Job", child("c", 2))
    cache.end_list(KEY)
    cache.put_job({"metadata": {**JOB["metadata"], "uid": "another", "resourceVersion": "3"}})
    assert names(cache, "Job") == []
    assert not cache.is_listed(KEY)


def test_what_is_remembered_of_deleted_things_expires() -> None:
    seconds = itertools.count()
    cache = Cache(clock=lambda: float(next(seconds)))
    cache.put_job(JOB)
    for number in range(20_000):
        made = child("c", number + 1, f"uid-{number}")
        cache.put_child("Job", made)
        assert cache.drop_child("Job", made) == KEY
        assert cache.put_child("Job", made) is None, "an answer that was on its way doesn't bring it back"
    assert len(vars(cache)["_gone"]) < 100


def test_what_is_remembered_of_deleted_things_is_bounded() -> None:
    cache = Cache(clock=lambda: 0.0)
    cache.put_job(JOB)
    for number in range(3 * GONE_KEPT):
        cache.drop_child("Job", child("c", 1, f"uid-{number}"))
    assert len(vars(cache)["_gone"]) == GONE_KEPT
