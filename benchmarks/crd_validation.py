"""What the CRD's rules cost the API server: creates and status updates of the committed CRD against the same CRD
without ``x-kubernetes-validations``, in turns, on a testbed's control plane. The last line printed is JSON.

Latencies are medians of requests one after the other; processor times are the API server's own, by its threads' clocks,
and medians of turns: what else the machine does spoils single ones.
Another CRD, of a commit before say, is measured in the same turns: ``git show REV:crds/distillationjobs.yaml > FILE``.
"""

import argparse
import json
import ssl
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from kubernetes import client, config

from distillation_api.resource import GROUP, PLURAL, VERSION
from support.eventually import eventually
from support.objects import CHECKOUT
from testbed.cluster import Testbed
from testbed.site import Depth

ROUNDS = 20
OBJECTS = 10
"""Objects of one turn, each created once."""
UPDATES = 4
"""Status updates of each."""
JOBS = ("llama3-8b-to-1b", "mixed-sft-then-logits")
"""Examples: one training stage without MaxText's own settings, and two with some."""
STAGES = (
    "check-tokenizers", "fetch-teacher", "fetch-student", "prepare-dataset", "convert-student", "generate",
    "pack", "evaluate-before", "train-teacher-data", "convert-back", "evaluate", "export",
)  # fmt: skip
COMMITTED, WITHOUT, OTHER = "committed", "without", "other"
Manifest = dict[str, Any]


@dataclass
class Cost:
    """What requests of one kind took."""

    seconds: list[float] = field(default_factory=list)
    """Of each request, from its first byte to the answer's last."""
    processor: list[float] = field(default_factory=list)
    """Of the API server's processor, for a request, by turn."""

    def per_request(self) -> dict[str, float]:
        """Medians in milliseconds."""
        clocks = {"latency": self.seconds, "processor": self.processor}
        return {clock: round(statistics.median(taken) * 1000, 2) for clock, taken in clocks.items()}


class ApiServer:
    """One connection to a testbed's API server; a client library would take longer than what is measured."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self.client = config.new_client_from_config(str(testbed.kubeconfig))  # type: ignore[no-untyped-call]
        settings = self.client.configuration
        context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
        context.load_cert_chain(settings.cert_file, settings.key_file)
        address = urlsplit(settings.host)
        self._connection = HTTPSConnection(str(address.hostname), address.port, context=context, timeout=30)

    def request(self, verb: str, path: str, body: Manifest) -> Manifest:
        """The object that the API server answers with. Raises RuntimeError for a refusal."""
        self._connection.request(verb, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        content: Manifest = json.loads(answer.read())
        if answer.status >= 300:
            raise RuntimeError(f"{verb} {path}: {content}")
        return content

    def processor(self) -> float:
        """Seconds of a processor that it has used."""
        threads = Path(f"/proc/{self._testbed.pid('kube-apiserver')}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each CRD")
    parser.add_argument("--other", type=Path, help="file of another CRD, measured beside")
    options = parser.parse_args()
    crds = {COMMITTED: _read(CHECKOUT / "crds" / "distillationjobs.yaml")}
    crds |= {WITHOUT: without_rules(crds[COMMITTED])}
    crds |= {OTHER: _read(options.other)} if options.other else {}
    testbed = Testbed("benchmark-crd", Depth.CONTROL_PLANE)
    testbed.up()
    try:
        server = ApiServer(testbed)
        for name, crd in crds.items():
            install(server, name, crd)
        jobs = {job: _read(CHECKOUT / "examples" / f"{job}.yaml") for job in JOBS}
        milliseconds = {
            job: compared(measure(server, list(crds), manifest, options.rounds)) for job, manifest in jobs.items()
        }
    finally:
        testbed.down()
    print(json.dumps({"rounds": options.rounds, "requestsPerRound": OBJECTS, "milliseconds": milliseconds}))


def without_rules(node: Any) -> Any:
    """A CRD, or a part of one, without CEL rules."""
    if isinstance(node, dict):
        return {key: without_rules(value) for key, value in node.items() if key != "x-kubernetes-validations"}
    return [without_rules(item) for item in node] if isinstance(node, list) else node


def install(server: ApiServer, name: str, crd: Manifest) -> None:
    """Make a CRD under a group of its own, so that all are served side by side."""
    made: Any = {
        **crd,
        "metadata": {"name": f"{PLURAL}.{_group(name)}"},
        "spec": {**crd["spec"], "group": _group(name)},
    }
    client.ApiextensionsV1Api(server.client).create_custom_resource_definition(made)

    def served() -> bool:
        try:
            objects = client.CustomObjectsApi(server.client)
            objects.list_namespaced_custom_object(_group(name), VERSION, "default", PLURAL)
        except client.ApiException:
            return False
        return True

    eventually(f"the CRD {name} is served", served)


def measure(server: ApiServer, names: list[str], job: Manifest, rounds: int) -> dict[str, dict[str, Cost]]:
    """By kind of request and CRD what it took. The first turn of each is not counted: caches fill."""
    costs = {kind: {name: Cost() for name in names} for kind in ("create", "statusUpdate")}
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            create, update = (costs[kind][name] if turn else Cost() for kind in costs)
            made = _timed(server, create, [_creation(server, name, job, turn, number) for number in range(OBJECTS)])
            for step in range(UPDATES):
                made = _timed(server, update, [_update(server, name, object_, turn, step) for object_ in made])
    return costs


def _timed(server: ApiServer, cost: Cost, requests: list[Callable[[], Manifest]]) -> list[Manifest]:
    before, answers = server.processor(), []
    for request in requests:
        start = time.perf_counter()
        answers.append(request())
        cost.seconds.append(time.perf_counter() - start)
    cost.processor.append((server.processor() - before) / len(requests))
    return answers


def _creation(server: ApiServer, name: str, job: Manifest, turn: int, number: int) -> Callable[[], Manifest]:
    metadata = {"name": f"{job['metadata']['name'][:20]}-{turn}-{number}", "namespace": "default"}
    manifest = {**job, "apiVersion": f"{_group(name)}/{VERSION}", "metadata": metadata}
    return lambda: server.request("POST", _path(name), manifest)


def _update(server: ApiServer, name: str, object_: Manifest, turn: int, step: int) -> Callable[[], Manifest]:
    path = f"{_path(name)}/{object_['metadata']['name']}/status"
    return lambda: server.request("PUT", path, {**object_, "status": status(running_at(turn, step))})


def running_at(turn: int, step: int) -> int:
    """The number of the stage that runs at an update of an object; from one update to the next it is the next."""
    return turn % (len(STAGES) - UPDATES + 1) + step


def status(running: int) -> Manifest:
    """What the operator writes while the stage of that number runs."""
    time_, generation = "2026-01-02T03:04:05Z", {"observedGeneration": 1}
    of_condition = {"reason": "StagesRunning", "message": "", "lastTransitionTime": time_, **generation}
    types = ("Accepted", "Suspended", "Complete", "Failed", "Reconciling", "Stalled")
    return {
        **generation,
        "phase": "Running",
        "method": "Offline",
        "currentStage": STAGES[running],
        "progress": f"{running}%",
        "chipHours": f"{running}.5",
        "startTime": time_,
        "conditions": [{"type": type_, "status": "False", **of_condition} for type_ in types],
        "stages": [_stage(name, number - running, time_) for number, name in enumerate(STAGES)],
    }


def _stage(name: str, place: int, time_: str) -> Manifest:
    stage = {"name": name, "state": "Waiting" if place > 0 else "Complete" if place < 0 else "Running"}
    if place > 0:
        return {**stage, "reason": "StagesBefore", "message": "Waits for the stages before it."}
    stage |= {
        "startTime": time_,
        "fingerprint": "0123456789abcdef",
        "directory": f"distillation/{name}/0123456789abcdef",
    }
    done = {"completionTime": time_, "outputs": {"model": f"distillation/{name}"}, "counts": {"rows": 20000}}
    progress = {"done": 1000, "total": 20000, "unit": "rows", "rate": "12.5"}
    return {**stage, **done} if place < 0 else {**stage, "progress": progress}


def compared(costs: dict[str, dict[str, Cost]]) -> dict[str, Any]:
    """By kind of request the figures of each CRD, and how much more than without rules each takes."""
    by_kind: dict[str, Any] = {}
    for kind, by_name in costs.items():
        figures = {name: cost.per_request() for name, cost in by_name.items()}
        base = figures[WITHOUT]
        ratios = {
            name: {clock: round(taken / base[clock], 3) for clock, taken in figure.items()}
            for name, figure in figures.items()
            if name != WITHOUT
        }
        by_kind[kind] = {**figures, "overWithout": ratios}
    return by_kind


def _group(name: str) -> str:
    return f"{name}.{GROUP}"


def _path(name: str) -> str:
    return f"/apis/{_group(name)}/{VERSION}/namespaces/default/{PLURAL}"


def _read(file: Path) -> Manifest:
    content: Manifest = yaml.safe_load(file.read_text())
    return content


if __name__ == "__main__":
    main()
