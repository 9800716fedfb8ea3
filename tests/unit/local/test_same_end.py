"""One job, the same random events, on a cluster and on this machine: the same status at the end, as a whole.

The cluster is what Kubernetes' controllers make of the operator's own manifests: their pod failure policies and
back-off limits are read from there. On this machine the processes are scripted; all else is real.
"""

import copy
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from distillation_api.resource import DistillationJob
from distillation_operator.local.attempts import Attempt
from distillation_operator.local.capacity import Requests
from distillation_operator.local.folder import JobFolder
from distillation_operator.local.processes import End, Start
from distillation_operator.local.runner import INSTALLATION, Machine, Runner
from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.pod_failure_policy import FAILURES_ANNOTATION
from distillation_operator.manifests.reading import JOB_INDEX_LABEL, JOBSET_INDEX_LABEL, JOBSET_NAME_LABEL, observe
from distillation_operator.pipeline.decision.job import decide
from distillation_operator.pipeline.graph import build_pipeline
from distillation_operator.pipeline.status.times import format_time
from support.scenario import ALL, START, small_spec

Object = dict[str, Any]
Script = Mapping[str, list[str]]
"""How the starts of each stage end, in their order, shards counted together; all further ones succeed."""

NODE = "node"
SPEC = small_spec(retries={"failures": 1, "disruptions": 2}, generation={"shards": 2}, suspend=False)
FINGERPRINTS = {
    stage.name: stage.fingerprint
    for stage in build_pipeline(DistillationJob.parse({"apiVersion": "distillation.dev/v1alpha1", "kind":
        "DistillationJob", "metadata": {"name": "job"}, "spec": SPEC}).spec).values()
}  # fmt: skip
PATIENCE = 500
TERMINATED = End(143, None)


def end_of(outcome: str, stage: str) -> End:
    """How a program ends that comes to this outcome."""
    failure = {"type": "failure", "stage": stage, "message": "Told why."}
    match outcome:
        case "success":
            return End(0, json.dumps({"type": "result", "stage": stage, "fingerprint": FINGERPRINTS[stage]}))
        case "result lost":
            return End(0, None)
        case "crash":
            return End(1, "the tail of a log")
        case "killed":
            return End(137, None)
        case "permanent":
            return End(65, json.dumps({**failure, "reason": "MissingColumn", "permanent": True}))
        case "machine":
            return End(75, json.dumps({**failure, "reason": "AcceleratorBusy", "permanent": False}))
        case "away":
            return End(75, json.dumps({**failure, "reason": "HubUnreachable", "permanent": False}))
    raise AssertionError(outcome)


@dataclass
class World:
    """What both have in common: the user's object, the clock, and how starts end."""

    script: Script
    now: datetime = START
    thing: Object = field(
        default_factory=lambda: {
            "apiVersion": "distillation.dev/v1alpha1",
            "kind": "DistillationJob",
            "metadata": {"name": "job", "namespace": "ml", "uid": "uid-1", "generation": 1, "annotations": {}},
            "spec": copy.deepcopy(SPEC),
        }
    )
    started: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def next_end(self, stage: str) -> End:
        number = self.started[stage]
        self.started[stage] += 1
        outcomes = self.script.get(stage, [])
        return end_of(outcomes[number] if number < len(outcomes) else "success", stage)

    @property
    def status(self) -> Object:
        """As it stands, without the UIDs that differ by nature."""
        status = copy.deepcopy(self.thing.get("status") or {})
        for stage in status.get("stages", []):
            stage.get("shardRetries", {}).pop("job", None)
        return dict(status)

    def toggle_suspend(self) -> None:
        spec, metadata = self.thing["spec"], self.thing["metadata"]
        self.thing = {
            **self.thing,
            "spec": {**spec, "suspend": not spec["suspend"]},
            "metadata": {**metadata, "generation": metadata["generation"] + 1},
        }

    def retry(self, stage: str) -> None:
        metadata = self.thing["metadata"]
        annotations = {"distillation.dev/retry": f"{stage}/{self.now:%H%M%S}"}
        self.thing = {**self.thing, "metadata": {**metadata, "annotations": annotations}}

    # Of each backend.

    def step(self) -> None:
        """One look at everything, and what follows."""
        raise NotImplementedError

    def running(self) -> list[tuple[str, int, str]]:
        """Stage, index and name of what runs, in this order."""
        raise NotImplementedError

    def finish(self, name: str) -> None:
        """One of them ends as the script says."""
        raise NotImplementedError

    def lose(self) -> None:
        """All that runs is gone, without an end: deleted by hand, or with the process that had started it."""
        raise NotImplementedError


# This machine.


class MemoryFolder(JobFolder):
    """A job's folder without a disk."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))
        self.attempts: list[Attempt] = []

    def write(self, thing: Object) -> None:
        pass

    def read_attempts(self) -> list[Attempt]:
        return copy.deepcopy(self.attempts)

    def write_attempts(self, attempts: list[Attempt]) -> None:
        self.attempts = copy.deepcopy(attempts)


class ScriptedProcesses:
    """Processes that end when the test says so, and at once when they are asked to."""

    def __init__(self) -> None:
        self.live: dict[str, tuple[str, int]] = {}
        """Stage and index of those that run and weren't asked to end, by name."""
        self.over: dict[str, End] = {}

    def start(self, start: Start) -> None:
        stage = json.loads(start.environment["STAGE_SPEC"])["stage"]
        place = (stage, int(start.environment.get("JOB_COMPLETION_INDEX", "0")))
        assert place not in self.live.values(), "two writers"
        self.live[start.name] = place

    def end(self, name: str, end: End) -> None:
        if self.live.pop(name, None) is not None:
            self.over[name] = end

    def stop(self, name: str) -> None:
        self.end(name, TERMINATED)

    def kill(self) -> None:
        raise AssertionError("all end in time")

    def ended(self) -> dict[str, End]:
        over, self.over = self.over, {}
        return over

    def next_kill(self) -> float | None:
        return None

    def output(self, name: str) -> str:
        return ""


class Silence:
    """No signal comes, and nothing is waited for."""

    received: list[int] = []

    def wait(self, seconds: float | None) -> None:
        pass


@dataclass
class Here(World):
    """``local``."""

    def __post_init__(self) -> None:
        self.folder = MemoryFolder()
        self.processes = ScriptedProcesses()
        self.runner = self._runner()

    def _runner(self) -> Runner:
        room = Requests(Fraction(1000), Fraction(2**50))
        images = dict.fromkeys(("fetcher", "converter", "trainer", "teacher"), Path("python"))
        machine = Machine(NODE, room, images, Path("/storage"), Path("/scratch"), {}, {})
        return Runner(self.thing, self.folder, self.processes, machine, clock=lambda: self.now)

    def step(self) -> None:
        self.runner.thing = {**self.thing, **({"status": s} if (s := self.runner.thing.get("status")) else {})}
        self.runner.step()
        self.thing = self.runner.thing

    def running(self) -> list[tuple[str, int, str]]:
        return sorted((stage, index, name) for name, (stage, index) in self.processes.live.items())

    def finish(self, name: str) -> None:
        self.processes.end(name, self.next_end(self.processes.live[name][0]))

    def lose(self) -> None:
        self.runner.stop(Silence())
        self.thing = self.runner.thing
        self.runner = self._runner()


# A cluster.


@dataclass
class There(World):
    """Kubernetes' Job and JobSet controllers and a kubelet, as far as the operator's manifests ask for them."""

    def __post_init__(self) -> None:
        self.children: dict[str, Object] = {}
        self.jobs_of_jobsets: dict[str, Object] = {}
        self.pods: dict[str, Object] = {}
        self.due: list[tuple[datetime, str, int, int]] = []
        """When a pod is made for an index again, of which Job, and after how many failures."""
        self.unsaid: list[str] = []
        """Children whose pods have all told their results, which their controller says only after the next decision."""

    def step(self) -> None:
        self._collect()
        for due in [due for due in self.due if due[0] <= self.now]:
            self.due.remove(due)
            self._add_pod(*due[1:])
        decision = decide(self._job, self._observed(), self.now)
        for name in decision.delete:
            self._delete(name)
        for creation in decision.create:
            self._create(child_manifest(self._job, creation.stage, creation.attempt, INSTALLATION))
        if (decision.create or decision.delete) and not decision.is_end:
            decision = decide(self._job, self._observed(), self.now)
        for name in decision.delete_once_written:
            self._delete(name)
        for name in self.unsaid:
            if name in self.children:
                self._end(name, "Completed" if name in self.jobs_of_jobsets else "Complete", "")
        self.unsaid = []
        self.thing = {**self.thing, "status": decision.status.to_json_dict()}

    @property
    def _job(self) -> DistillationJob:
        return DistillationJob.parse(self.thing)

    def _observed(self) -> Any:
        jobs = self.jobs_of_jobsets.values()
        return observe("uid-1", self.children.values(), jobs, self.pods.values(), {}, {}, {}, fresh=True)

    def _create(self, manifest: Object) -> None:
        name = manifest["metadata"]["name"]
        assert name not in self.children
        manifest["metadata"] |= {"uid": f"uid of {name} at {self.now}", "creationTimestamp": format_time(self.now)}
        manifest["status"] = {"conditions": []}
        self.children[name] = manifest
        job = manifest
        if manifest["kind"] == "JobSet":
            [replicated] = manifest["spec"]["replicatedJobs"]
            labels = {**manifest["metadata"]["labels"], JOBSET_NAME_LABEL: name}
            owners = [{"uid": manifest["metadata"]["uid"], "controller": True}]
            metadata = {"name": f"{name}-slice-0", "labels": labels, "uid": "uid of its Job", "ownerReferences": owners}
            job = {"metadata": metadata, "spec": replicated["template"]["spec"], "status": {"conditions": []}}
            self.jobs_of_jobsets[name] = job
        for index in range(job["spec"]["completions"]):
            self._add_pod(name, index, 0)

    def _job_of(self, child: str) -> Object:
        return self.jobs_of_jobsets.get(child) or self.children[child]

    def _add_pod(self, child: str, index: int, failures: int) -> None:
        job, suffix = self._job_of(child), f"-{failures}" if failures else ""
        annotations = {FAILURES_ANNOTATION: str(failures)} if "backoffLimitPerIndex" in job["spec"] else {}
        name = f"{child}-{index}{suffix}"
        metadata = {
            "name": name,
            "labels": {**job["metadata"]["labels"], JOB_INDEX_LABEL: str(index), JOBSET_INDEX_LABEL: "0"},
            "annotations": annotations,
            "ownerReferences": [{"uid": job["metadata"]["uid"], "controller": True}],
        }
        started = format_time(self.now)
        running = [{"name": "stage", "state": {"running": {"startedAt": started}}}]
        status = {"phase": "Running", "startTime": started, "containerStatuses": running}
        self.pods[name] = {"metadata": metadata, "spec": {"nodeName": NODE}, "status": status}

    def running(self) -> list[tuple[str, int, str]]:
        return sorted(
            (labels["distillation.dev/stage"], int(labels[JOB_INDEX_LABEL]), name)
            for name, pod in self.pods.items()
            for labels in [pod["metadata"]["labels"]]
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        )

    def finish(self, name: str) -> None:
        pod = self.pods[name]
        labels = pod["metadata"]["labels"]
        end = self.next_end(labels["distillation.dev/stage"])
        terminated = {"exitCode": end.exit_code, "message": end.message, "finishedAt": format_time(self.now)}
        terminated |= {"startedAt": pod["status"]["startTime"], "reason": "Error" if end.exit_code else "Completed"}
        phase = "Failed" if end.exit_code else "Succeeded"
        pod["status"] |= {"phase": phase, "containerStatuses": [{"name": "stage", "state": {"terminated": terminated}}]}
        self._control(labels["distillation.dev/child"], pod, end)

    def _control(self, child: str, pod: Object, end: End) -> None:
        """What the Job controller makes of the end of a pod."""
        job = self._job_of(child)
        spec, index = job["spec"], int(pod["metadata"]["labels"][JOB_INDEX_LABEL])
        if end.exit_code:
            rules = [rule for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
            failures = int(pod["metadata"]["annotations"].get(FAILURES_ANNOTATION, "0"))
            if any(end.exit_code in rule["onExitCodes"]["values"] for rule in rules):
                self._fail(child, "PodFailurePolicy")
            elif "backoffLimitPerIndex" not in spec:
                self._fail(child, "BackoffLimitExceeded")
            elif failures < spec["backoffLimitPerIndex"]:
                self.due.append((self.now + timedelta(seconds=10 * 2**failures), child, index, failures + 1))
        if self._conditions(child) or any(name == child for _, name, _, _ in self.due):
            return
        pods = [pod for pod in self.pods.values() if pod["metadata"]["labels"]["distillation.dev/child"] == child]
        if all(pod["status"]["phase"] != "Running" for pod in pods):
            done = {p["metadata"]["labels"][JOB_INDEX_LABEL] for p in pods if p["status"]["phase"] == "Succeeded"}
            if len(done) == spec["completions"] and all(map(_tells, pods)):
                self.unsaid.append(child)
            elif len(done) == spec["completions"]:
                self._end(child, "Completed" if child in self.jobs_of_jobsets else "Complete", "")
            else:
                self._fail(child, "FailedIndexes")

    def _conditions(self, child: str) -> list[Object]:
        conditions: list[Object] = self.children[child]["status"]["conditions"]
        return conditions

    def _fail(self, child: str, reason: str) -> None:
        if child in self.jobs_of_jobsets:
            failed = {"type": "Failed", "status": "True", "reason": reason, "message": ""}
            self.jobs_of_jobsets[child]["status"]["conditions"].append(failed)
            reason = "FailedJobs"
        self._end(child, "Failed", reason)
        self.due = [due for due in self.due if due[1] != child]
        self._end_pods(child)

    def _end(self, child: str, kind: str, reason: str) -> None:
        condition = {"type": kind, "status": "True", "reason": reason, "message": ""}
        self._conditions(child).append({**condition, "lastTransitionTime": format_time(self.now)})

    def _delete(self, name: str) -> None:
        self.children[name]["metadata"]["deletionTimestamp"] = format_time(self.now)
        self.due = [due for due in self.due if due[1] != name]
        self._end_pods(name)

    def _end_pods(self, child: str) -> None:
        for pod in self.pods.values():
            if pod["metadata"]["labels"]["distillation.dev/child"] == child and pod["status"]["phase"] == "Running":
                pod["metadata"]["deletionTimestamp"] = format_time(self.now)

    def _collect(self) -> None:
        """What is being deleted is gone."""
        gone = {name for name, child in self.children.items() if "deletionTimestamp" in child["metadata"]}
        self.children = {name: child for name, child in self.children.items() if name not in gone}
        self.jobs_of_jobsets = {name: job for name, job in self.jobs_of_jobsets.items() if name not in gone}
        self.pods = {
            name: pod
            for name, pod in self.pods.items()
            if "deletionTimestamp" not in pod["metadata"]
            and pod["metadata"]["labels"]["distillation.dev/child"] not in gone
        }

    def lose(self) -> None:
        for name in [name for name in self.children if not self._conditions(name)]:
            self._delete(name)
        self._collect()


def _tells(pod: Object) -> bool:
    [container] = pod["status"]["containerStatuses"]
    return pod["status"]["phase"] == "Failed" or container["state"]["terminated"]["message"] is not None


OUTCOMES = ["success", "crash", "killed", "permanent", "machine", "away", "result lost"]
scripts = st.dictionaries(
    st.sampled_from([*ALL, "generate", "train-one"]),
    st.lists(st.sampled_from([*OUTCOMES, "crash", "machine"]), max_size=4),
    max_size=4,
)
events = st.lists(
    st.tuples(
        st.sampled_from([*["finish"] * 6, *["time"] * 3, "suspend or resume", "lose", "nothing", "retry"]),
        st.integers(0, 30),
    ),
    max_size=40,
)


def take(world: World, event: str, number: int) -> None:
    """One event; ``number`` chooses the process, or how long."""
    match event:
        case "finish":
            running = world.running()
            if running:
                world.finish(running[number % len(running)][2])
        case "time":
            world.now += timedelta(seconds=number)
        case "suspend or resume":
            world.toggle_suspend()
        case "lose":
            world.lose()
        case "retry":
            world.retry(ALL[number % len(ALL)])
    world.step()


def to_the_end(world: World) -> Iterator[Object]:
    """The statuses on the way to the end, with nothing in the way any more."""
    if world.thing["spec"]["suspend"]:
        world.toggle_suspend()
    for _ in range(PATIENCE):
        world.step()
        yield world.status
        if world.status["phase"] in ("Complete", "Failed"):
            return
        for _, _, name in world.running():
            world.finish(name)
        world.step()
        world.now += timedelta(seconds=30)
    raise AssertionError(f"never ends: {world.status}")


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@example({"generate": ["crash", "crash", "crash"], "train-one": ["killed", "machine"]}, [("finish", 0)] * 12)
@example({"generate": ["success", "permanent"]}, [("finish", 0)] * 9 + [("lose", 0)])
@given(scripts, events)
def test_the_same_events_have_the_same_end_here_as_on_a_cluster(script: Script, history: list[tuple[str, int]]) -> None:
    here, there = Here(script), There(script)
    for event, number in history:
        take(here, event, number)
        take(there, event, number)
        assert here.status == there.status, event
    ends = list(to_the_end(here)), list(to_the_end(there))
    assert ends[0] == ends[1]
    assert here.started == there.started
