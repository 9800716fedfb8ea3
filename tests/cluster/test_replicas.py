"""Two replicas on one Lease: one acts, the other takes over, and who has lost the lease writes nothing."""

import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distillation_operator.controller.leader import LEASE_SECONDS
from support.audit import events
from support.eventually import eventually
from support.objects import Jobs
from support.operating import Operator
from support.small_job import manifest, named
from testbed.cluster import Testbed

TAKEOVER_SECONDS = 30.0
"""The lease and the pause between two tries are 20; metrics, which tell who leads, are rendered every 5."""
WRITES = ("create", "update", "patch", "delete")

pytestmark = pytest.mark.timeout(300)


class Replica(Operator):
    """One of the replicas, with its port."""

    def __init__(self, testbed: Testbed, namespace: str, folder: Path, name: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        arguments = ("--lease", f"{namespace}/operator", "--port", str(self.port))
        super().__init__(testbed.kubeconfig, namespace, folder / f"{name}.log", *arguments, replica=name)

    def ask(self, path: str) -> tuple[int, str]:
        """HTTP status and text; 0 while it doesn't answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def leads(self) -> bool:
        assert self.exit_code() is None, self._log.read_text()[-2000:]
        return "distillation_leader 1.0" in self.ask("/metrics")[1]


@pytest.fixture
def replicas(testbed: Testbed, namespace: str, tmp_path: Path) -> Iterator[list[Replica]]:
    """Two, of which the first leads."""
    made = [Replica(testbed, namespace, tmp_path, name) for name in ("first", "second")]
    made[0].start()
    eventually("the first leads", made[0].leads)
    made[1].start()
    eventually("the second answers", lambda: made[1].ask("/healthz")[0] == 200)
    yield made
    for replica in made:
        if replica.exit_code() is None:
            replica.signal(signal.SIGCONT)
            replica.end()


def child_of(api_client: Any, namespace: str, job: str) -> Callable[[], Any]:
    from kubernetes import client

    batch: Any = client.BatchV1Api(api_client)
    selector = f"distillation.dev/job={job}"
    return lambda: batch.list_namespaced_job(namespace, label_selector=selector).items


def create(jobs: Jobs, name: str) -> None:
    jobs.create(named(manifest(), name))


def writes_of(testbed: Testbed, namespace: str, replica: Replica, since: float) -> list[str]:
    """What the API server let the replica write since then."""
    found = []
    for event in events(testbed.audit_log):
        if event["verb"] not in WRITES or event.get("objectRef", {}).get("namespace") != namespace:
            continue
        if event.get("userAgent") != f"distillation-operator/{replica.replica}":
            continue
        when = time.strptime(event["requestReceivedTimestamp"][:19], "%Y-%m-%dT%H:%M:%S")
        if event["responseStatus"]["code"] < 300 and time.mktime(when) - time.timezone > since:
            found.append(f"{event['verb']} {event['objectRef'].get('resource')} {event['objectRef'].get('name')}")
    return found


def test_one_acts_and_the_other_takes_over_when_it_is_killed(
    replicas: list[Replica], jobs: Jobs, api_client: Any, namespace: str, testbed: Testbed
) -> None:
    """Cases 2 and 3."""
    first, second = replicas
    create(jobs, "before")
    eventually("its first child", child_of(api_client, namespace, "before"))
    assert first.leads() and not second.leads()
    assert not writes_of(testbed, namespace, second, 0.0)
    first.end(signal.SIGKILL)
    create(jobs, "after")
    eventually("its first child", child_of(api_client, namespace, "after"), TAKEOVER_SECONDS)
    assert second.leads()


def test_a_leader_that_is_told_to_end_gives_the_lease_up(
    replicas: list[Replica], api_client: Any, namespace: str
) -> None:
    """As at each upgrade: nobody waits for the time of a lease."""
    from kubernetes import client

    coordination: Any = client.CoordinationV1Api(api_client)

    def holder() -> str:
        return str(coordination.read_namespaced_lease("operator", namespace).spec.holder_identity or "")

    first, second = replicas
    assert holder().startswith("first-")
    first.end(signal.SIGTERM)
    assert not holder().startswith("first-")
    eventually("the second holds it", lambda: holder().startswith("second-"), LEASE_SECONDS / 2)
    eventually("the second leads", second.leads)


def test_a_leader_that_was_stopped_for_longer_than_the_lease_writes_nothing_any_more(
    replicas: list[Replica], jobs: Jobs, api_client: Any, namespace: str, testbed: Testbed
) -> None:
    first, second = replicas
    first.signal(signal.SIGSTOP)
    eventually("the second leads", second.leads, TAKEOVER_SECONDS)
    create(jobs, "meanwhile")
    eventually("its first child", child_of(api_client, namespace, "meanwhile"))
    woken = time.time()
    first.signal(signal.SIGCONT)
    assert eventually("its end", lambda: (first.exit_code() is not None) or None, 30)
    assert first.exit_code() == 1
    assert not writes_of(testbed, namespace, first, woken)


def test_when_the_api_server_pauses_for_longer_than_the_lease_one_replica_acts_afterwards(
    replicas: list[Replica], jobs: Jobs, api_client: Any, namespace: str, testbed: Testbed
) -> None:
    first = replicas[0]
    testbed.kill("kube-apiserver", signal.SIGSTOP)
    try:
        eventually("the first gives up", lambda: first.exit_code() is not None, 40)
    finally:
        resumed = time.time()
        testbed.kill("kube-apiserver", signal.SIGCONT)
    assert first.exit_code() == 1
    # As the kubelet does.
    first.start()
    create(jobs, "afterwards")
    eventually("its first child", child_of(api_client, namespace, "afterwards"), 60)
    leading = [replica for replica in replicas if replica.exit_code() is None and replica.leads()]
    assert len(leading) == 1
    others = [replica for replica in replicas if replica is not leading[0]]
    assert not writes_of(testbed, namespace, others[0], resumed)


def test_the_port_answers_probes_and_prometheus(replicas: list[Replica], jobs: Jobs, namespace: str) -> None:
    first, second = replicas
    create(jobs, "told")
    eventually("ready", lambda: first.ask("/readyz") == (200, "ok\n"))
    assert first.ask("/healthz") == (200, "ok\n")
    eventually("the job", lambda: 'distillation_jobs{phase="Pending"} 1.0' in first.ask("/metrics")[1] or None)
    expected = (
        "distillation_queue_depth", "distillation_reconcile_seconds_count",
        'distillation_api_calls_total{code="200",resource="jobs",verb="create"}',
    )  # fmt: skip
    eventually("all metrics", lambda: all(metric in first.ask("/metrics")[1] for metric in expected))
    eventually("the second is ready too", lambda: second.ask("/readyz")[0] == 200)
