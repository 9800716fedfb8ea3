"""Events: one for each thing that a user may have to know, and no second one for the same."""

from datetime import timedelta

from distillation_api.contract import StageFailure
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.status.events import Event, transitions
from support.scenario import BEFORE_TRAINING, SOURCES, Given

NO_NODE = Cause("Unschedulable", "0/3 nodes are available: 3 Insufficient cpu.")


class Watched:
    """A job, and the Events that its statuses lead to."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.events: list[Event] = []
        self.look()

    def look(self, times: int = 1) -> "Watched":
        for _ in range(times):
            before = self.given.status
            self.events += transitions(before, self.given.act().status)
        return self

    def news(self) -> list[tuple[str, str]]:
        """Warnings since the last time, as reason and message."""
        told = [(event.reason, event.message) for event in self.events if event.type == "Warning"]
        self.events.clear()
        return told


def training() -> Given:
    return Given().done(*BEFORE_TRAINING).child("train-one").running_pod("train-one")


def test_a_verdict_that_ends_the_job_is_one_warning_with_its_stage() -> None:
    watched = Watched(Given().child("fetch-teacher").running_pod("fetch-teacher"))
    watched.given.gave_up("fetch-teacher", "ModelNotFound", "no model")
    assert watched.look(3).news() == [("ModelNotFound", "fetch-teacher failed: no model")]
    assert watched.given.status is not None and watched.given.status.phase == "Failed"


def test_a_crash_that_is_followed_by_another_attempt_is_one_warning() -> None:
    watched = Watched(training())
    watched.given.crashed("train-one", ago=0)
    assert watched.look(2).news() == [
        ("StageRetried", "train-one, attempt 0: Tried again soon: job-train-one-0-0-abcde: exit code 1")
    ]
    watched.given.later(60)
    assert watched.look(3).news() == []
    watched.given.crashed("train-one", attempt=1, ago=0)
    assert [reason for reason, _ in watched.look(2).news()] == ["StageRetried"]


def test_a_crash_that_was_not_seen_before_the_next_attempt_is_told_too() -> None:
    watched = Watched(training())
    watched.given.crashed("train-one", ago=3600)
    assert [reason for reason, _ in watched.look(3).news()] == ["StageRetried"]


def test_an_eviction_is_one_warning_in_the_pods_own_words() -> None:
    words = "pod p was evicted from node-1: EvictionByEvictionAPI: Eviction API: evicting"
    watched = Watched(training())
    watched.given.running_pod("train-one", terminating=True, pending_cause=Cause("PodDisrupted", words))
    assert watched.look(2).news() == []
    watched.given.evicted("train-one", ago=0).no_pods()
    assert watched.look(2).news() == [("StageRetried", f"train-one, attempt 0: Tried again soon: {words}")]
    watched.given.later(60)
    assert watched.look(3).news() == []
    (failure,) = watched.given.decide().status.last_failures
    assert (failure.reason, failure.message) == ("PodDisrupted", words)


def test_what_is_away_is_one_warning_also_when_it_counts_at_last() -> None:
    def away(given: Given, attempt: int) -> None:
        given.failed("fetch-student", attempt=attempt, ago=0)
        verdict = StageFailure(stage="fetch-student", reason="HubUnavailable", message="503", permanent=False)
        given.ended_pod("fetch-student", attempt, failure=verdict)

    watched = Watched(Given().child("fetch-student").running_pod("fetch-student"))
    away(watched.given, 0)
    assert watched.look(2).news() == [("HubUnavailable", "fetch-student: Tried again soon: 503")]
    watched.given.later(timedelta(minutes=2).total_seconds())
    assert watched.look(3).news() == []
    away(watched.given.later(timedelta(hours=2).total_seconds()), 1)
    assert watched.look(2).news() == [("HubUnavailable", "fetch-student: Tried again soon: 503")]
    watched.given.later(timedelta(minutes=5).total_seconds())
    assert watched.look(2).news() == []


def test_what_several_stages_wait_for_is_one_warning() -> None:
    given = Given()
    for stage in SOURCES:
        given.child(stage).pod(stage)
    watched = Watched(given)
    watched.news()
    given.pod(SOURCES[0], pending_cause=NO_NODE).pod(SOURCES[1], pending_cause=NO_NODE)
    assert watched.look(2).news() == [("Unschedulable", f"fetch-teacher, fetch-student: {NO_NODE.message}")]
    given.pod(SOURCES[2], pending_cause=NO_NODE)
    assert watched.look(2).news() == []
    given.pod(SOURCES[2], pending_cause=Cause("ImagePullBackOff", "no image"))
    assert watched.look(2).news() == [("ImagePullBackOff", "prepare-dataset: no image")]


def test_it_is_told_again_when_it_comes_again() -> None:
    watched = Watched(Given().child("fetch-teacher").pod("fetch-teacher"))
    watched.given.pod("fetch-teacher", pending_cause=NO_NODE)
    assert len(watched.look(2).news()) == 1
    watched.given.running_pod("fetch-teacher")
    watched.look().news()
    watched.given.pod("fetch-teacher", pending_cause=NO_NODE)
    assert len(watched.look(2).news()) == 1


def test_a_deleted_shard_is_told_with_its_name() -> None:
    given = Given(generation={"shards": 2}).done(*BEFORE_TRAINING[:-2]).child("generate").shard(0).shard(1)
    watched = Watched(given)
    deleted = Cause("PodDeleted", "pod x was deleted")
    given.shard(1, terminating=True, pending_cause=deleted)
    assert watched.look().news() == []
    given.shard(1, failures=1)
    assert watched.look(2).news() == [
        (
            "StageRetried",
            "generate, attempt 0: shards failed 1 times and were disrupted 0 times; pod x was deleted",
        )
    ]
