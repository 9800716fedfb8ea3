"""What is known of a job's children, in the terms of the decisions; ``manifests.reading`` fills it from Kubernetes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from distillation_api.contract import Progress, StageFailure, StageResult
from distillation_operator.pipeline.cause import Cause


class ChildState(StrEnum):
    """State of the Job or JobSet of one attempt."""

    HELD = "Held"
    """Suspended by its queue."""
    ACTIVE = "Active"
    COMPLETE = "Complete"
    FAILED = "Failed"


class FailureClass(StrEnum):
    """Whose fault a failed attempt is, which decides whether it is tried again and what that costs."""

    PERMANENT = "Permanent"
    """The program's verdict: trying again can't help."""
    CRASH = "Crash"
    DISRUPTION = "Disruption"
    """Preemption, eviction, a lost node."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of an attempt."""

    name: str
    child: str
    index: int
    """Completion index: the shard, or the host within its slice."""
    stage: str = ""
    """Its stage, also when its child is gone."""
    slice: int = 0
    running: bool = False
    ended: bool = False
    succeeded: bool = False
    complete: bool = False
    """Succeeded with all of its containers, sidecars too: nothing that it has written is on its way any more."""
    terminating: bool = False
    disrupted: bool = False
    """Taken away by preemption, eviction or the loss of its node."""
    departure: str | None = None
    """How it was taken away or deleted, as a sentence without full stop that names it."""
    pending_cause: Cause | None = None
    """What keeps it from running, or is about to."""
    result: StageResult | None = None
    failure: StageFailure | None = None
    exit_code: int | None = None
    node: str | None = None
    exit_text: str | None = None
    """What is known of a failed container: exit code, reason and the tail of its log."""
    refused_by_node: str | None = None
    """Why the node didn't take it after it was scheduled there, in the kubelet's words."""
    started: datetime | None = None
    container_started: datetime | None = None
    """When its program has begun, images and volumes being there."""
    finished: datetime | None = None
    owner: str = ""
    """UID of its Job."""
    index_failures: int = 0
    """Crashes of its index, its own among them, as Kubernetes counts them where it tries each index by itself."""
    index_disruptions: int = 0
    """Disruptions, likewise."""
    chips: int = 0
    """Accelerator chips that it was given, by its own word; decisions go by the stage's placement."""

    @property
    def alive(self) -> bool:
        """True while it may still write to the storage."""
        return not self.ended


@dataclass(frozen=True, slots=True)
class Child:
    """The Job or JobSet of one attempt at a stage."""

    name: str
    stage: str
    attempt: int
    state: ChildState
    uid: str = ""
    jobs: frozenset[str] = frozenset()
    """UIDs of the Jobs that a JobSet has made."""
    ours: bool = True
    """False when another owner has an object of that name."""
    terminating: bool = False
    failure_class: FailureClass | None = None
    lost_pod: bool = False
    """True where it has failed for a pod that ended, whatever that pod shows, or showed before it was removed."""
    fingerprint: str | None = None
    """What its pods were asked to write."""
    directory: str | None = None
    """Where they were asked to write it, inside the storage."""
    message: str = ""
    """What Kubernetes, or Kueue, says of its state."""
    created_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def live(self) -> bool:
        """True while it is ours to delete, and its pods may run."""
        return self.ours and self.ended_at is None and not self.terminating

    def owns(self, pod: Pod) -> bool:
        """True for a pod that its own Job, or one of its JobSet's, has made; labels alone don't say so."""
        return pod.owner != "" and (pod.owner == self.uid or pod.owner in self.jobs)


@dataclass(frozen=True)
class Observed:
    """All that a decision looks at besides the job itself."""

    children: Mapping[str, Child] = field(default_factory=dict)
    """By name."""
    pods: tuple[Pod, ...] = ()
    progress: Mapping[str, Progress] = field(default_factory=dict)
    """The last progress line, by pod."""
    last_progress: Mapping[tuple[str, int], Progress] = field(default_factory=dict)
    """The last progress line of each index of a Job, by the Job's UID, also when its pod is gone."""
    creation_failures: Mapping[str, Cause] = field(default_factory=dict)
    """Why the API server refused a child when it was last tried, by child name."""
    fresh: bool = False
    """Read from the API server for this decision. What watches have told may be older in one kind than in another."""

    begun: Set[str] | None = None
    """The stages of which a child or pod was seen since all of the job's were listed; None where they weren't. One that
    isn't among them, nor in the status, has no pods, whatever was not heard of yet.
    """
    at_work: Mapping[str, str] = field(default_factory=dict)
    """Output directories in which another job's child works, and that job."""
    strangers: tuple[Pod, ...] = ()
    """Pods with our labels and no owner that is known, where fresh. They tell nothing, but may be of a child that is
    gone, and still write.
    """

    def of_stage(self, stage: str) -> list[Child]:
        """Our children of a stage, oldest attempt first. What is another owner's says nothing about it, whatever its
        labels claim; it only may have a name that we need."""
        return self._by_stage.get(stage, [])

    def pods_of(self, child: str) -> list[Pod]:
        """The pods of a child."""
        return self._by_child.get(child, [])

    @property
    def stages(self) -> Iterable[str]:
        """Those that have a child of ours."""
        return self._by_stage

    # Looked up once: who makes many objects with our labels must not make each look longer.

    @cached_property
    def _by_stage(self) -> dict[str, list[Child]]:
        found = defaultdict[str, list[Child]](list)
        for child in sorted(self.children.values(), key=lambda child: child.attempt):
            if child.ours:
                found[child.stage].append(child)
        return dict(found)

    @cached_property
    def _by_child(self) -> dict[str, list[Pod]]:
        found = defaultdict[str, list[Pod]](list)
        for pod in self.pods:
            found[pod.child].append(pod)
        return dict(found)
