"""A fluent builder of scenarios: one line per fact about a job, its children and pods; then ``decide``."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from distillation_api.contract import Progress, StageFailure, StageResult
from distillation_api.resource import DistillationJob
from distillation_api.status import Condition, DistillationJobStatus, StageStatus
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.decision.job import Decision, decide
from distillation_operator.pipeline.graph import build_pipeline
from distillation_operator.pipeline.names import child_name
from distillation_operator.pipeline.observed import Child, ChildState, FailureClass, Observed, Pod
from distillation_operator.pipeline.stage import Stage

START = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
SOURCES = ("fetch-teacher", "fetch-student", "prepare-dataset")
BEFORE_GENERATE = (*SOURCES, "convert-student", "preflight", "pack-two")
BEFORE_TRAINING = (*BEFORE_GENERATE, "generate", "pack-one")
ALL = (
    *SOURCES,
    "convert-student",
    "preflight",
    "generate",
    "pack-one",
    "train-one",
    "export-one",
    "pack-two",
    "train-two",
    "export",
    "evaluate",
)


def small_spec(**members: Any) -> dict[str, Any]:
    """A spec with two training stages, everything on CPU; ``members`` replace its members."""
    return {
        "teacher": {"source": {"huggingFace": {"repo": "big/teacher"}}},
        "student": {"source": {"path": "models/student"}, "maxTextModel": "llama2-7b"},
        "dataset": {"source": {"path": "data.jsonl"}, "messagesColumn": "messages"},
        "storage": {"persistentVolumeClaim": {"claimName": "claim"}},
        "training": {"stages": [{"name": "one", "steps": 10}, {"name": "two", "data": "OriginalDataset", "steps": 10}]},
        **members,
    }


def job_of(spec: dict[str, Any], name: str = "job", **metadata: Any) -> DistillationJob:
    """A DistillationJob as the API server returns it."""
    return DistillationJob.parse(
        {
            "apiVersion": "distillation.dev/v1alpha1",
            "kind": "DistillationJob",
            "metadata": {"name": name, "namespace": "ml", "uid": "uid-1", "generation": 1, **metadata},
            "spec": spec,
        }
    )


@dataclass(frozen=True)
class Seen:
    """A decision, and short ways to look at it."""

    decision: Decision

    @property
    def status(self) -> DistillationJobStatus:
        return self.decision.status

    @property
    def created(self) -> list[str]:
        """Stages and attempts to create children for, as ``generate/0``."""
        return [f"{creation.stage.name}/{creation.attempt}" for creation in self.decision.create]

    @property
    def deleted(self) -> list[str]:
        return sorted([*self.decision.delete, *self.decision.delete_once_written])

    def stage(self, name: str) -> StageStatus:
        return next(stage for stage in self.status.stages if stage.name == name)

    def states(self, *names: str) -> list[str]:
        return [self.stage(name).state for name in names]

    def condition(self, kind: str) -> Condition:
        return next(condition for condition in self.status.conditions if condition.type == kind)

    def holds(self, kind: str) -> bool:
        return self.condition(kind).status == "True"


class Given:
    """Facts, and what is decided on them. A decision's status is kept, as the controller keeps it in the cluster."""

    def __init__(self, name: str = "job", **members: Any) -> None:
        self.name = name
        self.members = members
        self.generation = 1
        self.deletion_timestamp: str | None = None
        self.annotations: dict[str, str] = {}
        self.status: DistillationJobStatus | None = None
        self.now = START
        self.children: dict[str, Child] = {}
        self.pods: dict[str, Pod] = {}
        self.lines: dict[str, Progress] = {}
        self.last_lines: dict[tuple[str, int], Progress] = {}
        self.problems: dict[str, Cause] = {}
        self.made = 0

    @property
    def job(self) -> DistillationJob:
        job = job_of(
            small_spec(**self.members),
            self.name,
            generation=self.generation,
            deletionTimestamp=self.deletion_timestamp,
            annotations=self.annotations,
        )
        return job.model_copy(update={"status": self.status})

    def stage(self, name: str) -> Stage:
        return build_pipeline(self.job.spec)[name]

    # The job.

    def spec(self, **members: Any) -> Self:
        """The user changes members of the spec."""
        self.members = {**self.members, **members}
        self.generation += 1
        return self

    def annotated(self, annotations: dict[str, str]) -> Self:
        """The user's annotations."""
        self.annotations = annotations
        return self

    def done(self, *stages: str) -> Self:
        """The status says that these stages are complete; of ALL, those that this job has."""
        before = self.status or DistillationJobStatus()
        known = {stage.name: stage for stage in before.stages}
        pipeline = build_pipeline(self.job.spec)
        for name in stages:
            if name in ALL and name not in pipeline:
                continue
            stage = pipeline[name]
            known[name] = StageStatus(
                name=name, state="Complete", fingerprint=stage.fingerprint, directory=stage.output
            )
        self.status = before.model_copy(update={"stages": list(known.values())})
        return self

    def later(self, seconds: float) -> Self:
        self.now += timedelta(seconds=seconds)
        return self

    # Its children.

    def name_of(self, stage: str, attempt: int = 0) -> str:
        return child_name(self.name, stage, attempt)

    def child(self, stage: str, state: ChildState = ChildState.ACTIVE, attempt: int = 0, **facts: Any) -> Self:
        name = self.name_of(stage, attempt)
        known = self.children.get(name)
        if known is None:
            self.made += 1
        uid = known.uid if known is not None else f"uid-{self.made}"
        self.children[name] = Child(name=name, stage=stage, attempt=attempt, state=state, uid=uid, **facts)
        return self

    def held(self, stage: str, message: str = "", attempt: int = 0) -> Self:
        return self.child(stage, ChildState.HELD, attempt, message=message)

    def completed(
        self, stage: str, attempt: int = 0, ago: float = 60, asked: Child | None = None, **result: Any
    ) -> Self:
        """The child is complete, and so are its pods, with readable results. ``asked``: by an operator of before."""
        ended = self.now - timedelta(seconds=ago)
        was = {"fingerprint": asked.fingerprint, "directory": asked.directory} if asked else {}
        self.child(stage, ChildState.COMPLETE, attempt, ended_at=ended, **was)
        shards = self.stage(stage).program
        for index in range(shards.shards if shards.kind == "generate" else 1):
            self.ended_pod(stage, attempt, index, succeeded=True, result=self.result(stage, **result))
        return self

    def proven(self, stage: str, attempt: int = 0, ago: float = 60, **facts: Any) -> Self:
        """All pods have ended well and told their results; the child's controller hasn't said so."""
        planned = self.stage(stage)
        shards = planned.program.shards if planned.program.kind == "generate" else planned.placement.hosts
        self.child(stage, attempt=attempt, **facts)
        for number in range(planned.placement.slices):
            for index in range(shards):
                self.well_ended_pod(stage, attempt, index, number, ago)
        return self

    def completed_unread(self, stage: str, attempt: int = 0, ago: float = 60) -> Self:
        """The child is complete; nothing is known of its pods."""
        return self.child(stage, ChildState.COMPLETE, attempt, ended_at=self.now - timedelta(seconds=ago))

    def failed(
        self,
        stage: str,
        kind: FailureClass = FailureClass.CRASH,
        attempt: int = 0,
        ago: float = 60,
        message: str = "",
        lost_pod: bool = False,
    ) -> Self:
        ended = self.now - timedelta(seconds=ago)
        facts: dict[str, Any] = {"failure_class": kind, "lost_pod": lost_pod, "message": message}
        return self.child(stage, ChildState.FAILED, attempt, ended_at=ended, **facts)

    def crashed(self, stage: str, attempt: int = 0, ago: float = 60, text: str = "exit code 1") -> Self:
        """The program crashed: the child has failed, and its pod shows the exit code."""
        self.failed(stage, attempt=attempt, ago=ago)
        return self.ended_pod(stage, attempt, exit_text=text)

    def evicted(self, stage: str, attempt: int = 0, ago: float = 60) -> Self:
        """The pod was taken away, and its Job's condition says so."""
        message = f"Pod ml/{self.name_of(stage, attempt)}-abcde has condition DisruptionTarget matching FailJob rule"
        self.failed(stage, FailureClass.DISRUPTION, attempt, ago, message)
        return self.ended_pod(stage, attempt, disrupted=True, exit_text="EvictionByEvictionAPI; exit code 143")

    def gave_up(self, stage: str, reason: str, message: str = "Told why.", attempt: int = 0, ago: float = 60) -> Self:
        """The program said that trying again can't help."""
        self.failed(stage, FailureClass.PERMANENT, attempt, ago)
        verdict = StageFailure(stage=stage, reason=reason, message=message, permanent=True)
        return self.ended_pod(stage, attempt, failure=verdict, exit_text="exit code 65")

    def terminating(self, stage: str, attempt: int = 0) -> Self:
        name = self.name_of(stage, attempt)
        self.children[name] = replace(self.children[name], terminating=True)
        return self

    def gone(self, stage: str, attempt: int = 0) -> Self:
        """The child does not exist any more; its pods may."""
        self.children.pop(self.name_of(stage, attempt), None)
        return self

    def refused(self, stage: str, reason: str, message: str, attempt: int = 0) -> Self:
        """The API server refused to create the child."""
        self.problems[self.name_of(stage, attempt)] = Cause(reason, message)
        return self

    # Their pods.

    def result(self, stage: str, **members: Any) -> StageResult:
        members = {"fingerprint": self.stage(stage).fingerprint, **members}
        return StageResult(stage=stage, **members)

    def pod(self, stage: str, attempt: int = 0, index: int = 0, name: str = "", **facts: Any) -> Self:
        child = self.name_of(stage, attempt)
        name = name or f"{child}-{index}-abcde"
        owner = self.children[child].uid if child in self.children else ""
        self.pods[name] = Pod(name=name, child=child, index=index, stage=stage, owner=owner, **facts)
        return self

    def running_pod(self, stage: str, attempt: int = 0, index: int = 0, **facts: Any) -> Self:
        return self.pod(stage, attempt, index, running=True, **facts)

    def ended_pod(self, stage: str, attempt: int = 0, index: int = 0, **facts: Any) -> Self:
        return self.pod(stage, attempt, index, ended=True, **facts)

    def well_ended_pod(
        self, stage: str, attempt: int = 0, index: int = 0, number: int = 0, ago: float = 60, **facts: Any
    ) -> Self:
        """A pod of slice ``number`` that has ended well, as a whole; the first, or each of shards, tells its result."""
        tells = self.stage(stage).is_indexed or index == number == 0
        known = {"result": self.result(stage) if tells else None, "finished": self.now - timedelta(seconds=ago)}
        name = f"{self.name_of(stage, attempt)}-{number}-{index}-abcde"
        ended = {"slice": number, "succeeded": True, "complete": True, "exit_code": 0, **known, **facts}
        return self.ended_pod(stage, attempt, index, **{"name": name, **ended})

    def shard(self, index: int = 0, failures: int = 0, disruptions: int = 0, attempt: int = 0, **facts: Any) -> Self:
        """A running shard of the generation, and what Kubernetes has counted of its index."""
        counts = {"index_failures": failures, "index_disruptions": disruptions}
        return self.running_pod("generate", attempt, index, **counts, **facts)

    def no_pods(self) -> Self:
        self.pods.clear()
        return self

    def says(self, stage: str, done: int, total: int, attempt: int = 0, index: int = 0, **facts: Any) -> Self:
        """The last progress line of a pod."""
        name = f"{self.name_of(stage, attempt)}-{index}-abcde"
        line = Progress(stage=stage, done=done, total=total, unit=facts.pop("unit", "steps"), **facts)
        self.lines[name] = line
        self.last_lines[self.children[self.name_of(stage, attempt)].uid, index] = line
        return self

    # The decision.

    @property
    def observed(self) -> Observed:
        return Observed(
            children=dict(self.children),
            pods=tuple(self.pods.values()),
            progress={pod: line for pod, line in self.lines.items() if pod in self.pods and self.pods[pod].running},
            last_progress=dict(self.last_lines),
            creation_failures=dict(self.problems),
        )

    def glance(self) -> Seen:
        """Decide on these facts as what the watches have told so far; nothing is kept."""
        return Seen(decide(self.job, self.observed, self.now))

    def decide(self) -> Seen:
        """Decide on these facts as what was listed, and keep the status."""
        decision = decide(self.job, replace(self.observed, fresh=True), self.now)
        assert not decision.needs_fresh_lists
        self.status = decision.status
        return Seen(decision)

    def act(self) -> Seen:
        """Decide, keep the status, and create and delete what it says."""
        seen = self.decide()
        for creation in seen.decision.create:
            stage = creation.stage
            asked: dict[str, Any] = {"fingerprint": stage.fingerprint, "directory": stage.output}
            self.child(stage.name, attempt=creation.attempt, created_at=self.now, **asked)
        for name in seen.deleted:
            self.children[name] = replace(self.children[name], terminating=True)
        return seen


def positions(names: Iterable[str]) -> dict[str, int]:
    """The place of each name."""
    return {name: place for place, name in enumerate(names)}
