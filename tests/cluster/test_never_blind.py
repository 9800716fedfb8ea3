"""The operator behind a proxy that fails: what it missed it notices within 30 seconds, and it does nothing twice.

The pods are ended past the proxy, so that the fault befalls the operator alone.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from chaos.audit import creations
from distillation_operator.controller import pages
from support.eventually import eventually
from support.faulty_server import GARBAGE, FaultyServer
from support.objects import Jobs
from support.operating import Operator, Pods
from support.small_job import NAME, batch_of, condition, manifest, named
from testbed.cluster import Testbed

NOTICED_SECONDS = 30.0
HANDOFFS = (
    (("fetch-student",), "convert-student", 1),
    (("fetch-teacher", "prepare-dataset"), "preflight", 1),
    (("preflight",), "generate", 2),
    (("generate",), "pack-one", 1),
    (("convert-student", "pack-one"), "train-one", 2),
    (("train-one",), "export-one", 1),
    (("pack-two",), "train-two", 1),
    (("train-two",), "export", 1),
    (("export-one", "export"), "evaluate", 1),
)
"""Stages that end, and what follows them: its name and its pods."""
COUNTS = {"generate": 2, "train-one": 2}
KINDS = ("distillationjobs", "jobs", "jobsets", "pods")

pytestmark = pytest.mark.timeout(300)


class Place:
    """A namespace with an operator behind a faulty server, and a job."""

    def __init__(self, testbed: Testbed, api_client: client.ApiClient, namespace: str, folder: Path) -> None:
        self._testbed = testbed
        self.namespace = namespace
        self.jobs = Jobs(client.CustomObjectsApi(api_client), namespace)
        self.pods = Pods(api_client, namespace)
        self.batch = batch_of(api_client)
        self.server = FaultyServer(testbed, folder)
        self._log = folder / f"{namespace}.log"
        self._handoffs = list(HANDOFFS)

    def __enter__(self) -> "Place":
        self.server.__enter__()
        self.operator = Operator(self.server.kubeconfig, self.namespace, self._log)
        return self

    def __exit__(self, *problem: object) -> None:
        if self.operator.exit_code() is None:
            self.operator.end()
        self.server.__exit__()

    def begin(self) -> None:
        """The operator runs and sees the job."""
        self.operator.start()
        self.jobs.create(manifest())
        for name in ("fetch-student", "fetch-teacher", "prepare-dataset"):
            self.pods.wait(name)

    def watching(self) -> None:
        """Wait until all is watched, and nothing twice."""

        def all_watched() -> bool:
            assert self.operator.exit_code() is None, self.operator.text()[-2000:]
            return all(self.server.watched()[kind] == 1 for kind in KINDS)

        eventually("all is watched", all_watched)

    def miss(self) -> str:
        """End the next stages' pods; what should follow. Call ``noticed`` with that."""
        ended, follows, _ = self._handoffs[0]
        for stage in ended:
            self.pods.succeed(stage, COUNTS.get(stage, 1))
        return follows

    def noticed(self, fault: str) -> None:
        """What was missed is noticed in time, by this process."""
        _, follows, count = self._handoffs.pop(0)
        eventually(f"{follows} after {fault}", lambda: len(self.pods.of_stage(follows)) == count, NOTICED_SECONDS)
        assert self.operator.exit_code() is None, f"{fault} has ended the operator: {self.operator.text()[-2000:]}"

    def uids(self, child: str) -> set[str]:
        """Of the Jobs of that name: one, or none."""
        jobs = self.batch.list_namespaced_job(self.namespace, field_selector=f"metadata.name={child}").items
        return {job.metadata.uid for job in jobs}

    def end_well(self, deleted: str | None = None) -> None:
        """All ends as without faults: each child was made once, and once more the one that the test has deleted."""
        while self._handoffs:
            self.noticed(f"{self.miss()} without a fault")
        self.pods.succeed("evaluate")
        eventually("Complete", lambda: condition(self.jobs, "Complete").get("status") == "True", NOTICED_SECONDS)
        made = Counter(
            {name: count for (place, name), count in creations(self._testbed.audit_log).items()
             if place == self.namespace and name.startswith(f"{NAME}-")}
        )  # fmt: skip
        made -= Counter([deleted] if deleted else [])
        assert set(made.values()) == {1}, made
        assert len(made) == len(stages(self.jobs)), made


def stages(jobs: Jobs) -> list[dict[str, Any]]:
    return list(jobs.get(NAME)["status"]["stages"])


@pytest.fixture
def place(testbed: Testbed, api_client: client.ApiClient, namespace: str, tmp_path: Path) -> Iterator[Place]:
    """A place whose job has begun."""
    with Place(testbed, api_client, namespace, tmp_path) as made:
        made.begin()
        yield made


def test_watches_that_break_are_made_good(place: Place) -> None:
    server = place.server

    def with_lost_events(fault: str, told: Any) -> None:
        """The watches hang when the pods end, and then this is told in them."""
        place.watching()
        server.hang_watches()
        place.miss()
        told()
        place.noticed(fault)

    place.watching()
    server.cut_watches("aborted")
    place.miss()
    place.noticed("a watch that was reset in a line")
    place.watching()
    server.cut_watches("ended")
    place.miss()
    place.noticed("a watch that ended in a line")
    with_lost_events("garbage in a watch", lambda: server.say(GARBAGE))
    with_lost_events("JSON of another kind in a watch", lambda: server.say(b'{"kind": "Status"}\n5\n'))
    with_lost_events("410 in a watch", lambda: server.say_error(410, "Expired"))
    with_lost_events("500 in a watch", lambda: server.say_error(500, "InternalError"))
    with_lost_events("504 in a watch", lambda: server.say_error(504, "Timeout"))
    with_lost_events("connections that were reset", server.drop_connections)

    # What went while nothing was watched is in no list, and no watch tells of it.
    place.watching()
    server.hang_watches()
    child = f"{NAME}-export-0"
    before = place.batch.read_namespaced_job(child, place.namespace).metadata.uid
    place.batch.delete_namespaced_job(child, place.namespace, propagation_policy="Background")
    server.say_error(410, "Expired")
    eventually("its like is made", lambda: place.uids(child) - {before}, NOTICED_SECONDS)
    assert {server.met[f"cut, {how}"] > 0 for how in ("aborted", "ended")} == {True}
    place.end_well(deleted=child)


def test_silence_is_noticed(place: Place) -> None:
    for silence in (place.server.hang_watches, place.server.go_half_open):
        place.watching()
        silence()
        place.miss()
        place.noticed(silence.__name__)
    assert place.server.met["hung"] and place.server.met["half-open"]
    place.end_well()


def test_calls_that_fail_are_made_good(place: Place) -> None:
    server = place.server

    def befalls(faults: dict[str, Any], fault: str, calls: int) -> None:
        place.watching()
        met = server.met[fault]
        with server.failing(**faults):
            # New watches befall it too.
            server.drop_connections()
            place.miss()
            eventually(f"{faults} befalls calls", lambda: server.met[fault] >= met + calls, NOTICED_SECONDS)
        place.noticed(f"{faults}")

    befalls({"throttled": 1.0, "retry_after": 2.0}, "throttled", 4)
    befalls({"throttled": 0.5, "retry_after": 600.0}, "throttled", 4)
    befalls({"storm": 0.8}, "storm", 8)
    befalls({"unauthorized": True}, "unauthorized", 4)
    befalls({"unreadable": 0.7}, "unreadable", 4)
    with server.refusing():
        place.miss()
        # For as long as nobody is there, nothing can be counted but that it goes on.
        eventually("it isn't watched", lambda: not server.watched())
    place.noticed("an API server that was away")
    with server.failing(latency=0.5, bytes_per_second=20_000):
        place.watching()
        place.miss()
        place.noticed("an API server at a tenth of its speed")
    place.end_well()


def test_a_list_that_is_cut_is_begun_again(
    testbed: Testbed, api_client: client.ApiClient, namespace: str, tmp_path: Path
) -> None:
    """As pages, or as the first events of a watch: those of which the last in order is the oldest."""
    with Place(testbed, api_client, namespace, tmp_path) as place:
        place.jobs.create(manifest())
        for number in range(pages.MOST + 5):
            place.jobs.create(named(manifest(suspend=True), f"before-{number}"))
        met = place.server.met
        with place.server.failing(pages_gone=True, cut_after=20):
            place.operator.start()
            eventually("lists are cut", lambda: met["pages gone"] + met["cut short"] >= 2, NOTICED_SECONDS)
        eventually("the job begins", lambda: place.pods.of_stage("fetch-student"), NOTICED_SECONDS)
        assert place.operator.exit_code() is None
