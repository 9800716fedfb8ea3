"""A simulated cluster drives ``decide`` through random histories until nothing moves any more.

Children and pods evolve at random, watches lag, status writes are lost, the operator restarts, the clock jumps, people
suspend and delete. Whatever happens, the job must end as its script says, and some things must never happen.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Literal

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from distillation_api.contract import Progress, StageFailure, StageResult
from distillation_api.resource import DistillationJob
from distillation_api.status import DistillationJobStatus, StageStatus
from distillation_operator.pipeline.decision.job import Decision, decide
from distillation_operator.pipeline.decision.retry_request import RETRY_ANNOTATION
from distillation_operator.pipeline.graph import Pipeline, build_pipeline
from distillation_operator.pipeline.observed import Child, ChildState, FailureClass, Observed, Pod
from distillation_operator.pipeline.spec_graph import SpecGraph
from distillation_operator.pipeline.status.times import parse_time
from support.scenario import ALL, START, job_of, small_spec

Outcome = Literal["complete", "crash", "shard crash", "disruption", "permanent", "result lost"]
"""Of a generation, a disruption or a shard's crash ends one pod, which its Job replaces; a crash is a shard's last."""
Script = Mapping[str, list[Outcome]]
"""How the runs of each stage end, in order; all further ones are complete."""
REPLACED: tuple[Outcome, ...] = ("shard crash", "disruption")
Lost = Literal["", "status", "all"]
PODS = 2
GENERATIONS = ("generate", "preview-generate")
BUDGET = {"failures": 1, "disruptions": 2}
PATIENCE = 400
"""Rounds in which an undisturbed cluster must come to rest."""


Then = Literal["", "Stop", "Continue"]
"""What follows a preview; nothing: there is none."""


@cache
def job_with(suspend: bool, preview: Then = "") -> DistillationJob:
    """The job, without status."""
    members = {"preview": {"then": preview}} if preview else {}
    return job_of(small_spec(suspend=suspend, retries=BUDGET, generation={"shards": PODS}, **members))


@cache
def pipeline_with(preview: Then) -> Pipeline:
    """Its stages."""
    return build_pipeline(job_with(False, preview).spec)


@cache
def graph_with(preview: Then) -> SpecGraph:
    """Its graph, which the operator keeps."""
    return SpecGraph(job_with(False, preview).spec)


WITH_PREVIEW = tuple(pipeline_with("Continue"))


@dataclass
class World:
    """The cluster as it is, the operator's view of it, and the operator."""

    script: Script
    now: datetime = START
    suspend: bool = False
    preview: Then = ""
    generation: int = 1
    retry: str = ""
    """The user's annotation."""
    stored: dict[str, object] | None = None
    """The status in the API server, as JSON."""
    children: dict[str, Child] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    """How many runs of each stage have ended."""
    seen_children: dict[str, Child] = field(default_factory=dict)
    seen_pods: dict[str, Pod] = field(default_factory=dict)
    serial: int = 0
    replaced: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Crashes and disruptions of shards that were replaced, by the UID of their Job."""
    made: dict[str, str] = field(default_factory=dict)
    """The stage of each child that there ever was."""
    was_removed: bool = False
    """Whether the preview ever was."""
    let_go: bool = False
    """Whether the real work was ever allowed to begin."""
    worked: set[str] = field(default_factory=set)
    """UIDs of children whose pods have done their work, while their controller hasn't said so."""

    def __post_init__(self) -> None:
        self.written = self.script
        """What the script was at first: nothing is counted that isn't in it."""
        self.let_go = self.preview != "Stop"

    @property
    def pipeline(self) -> Pipeline:
        return pipeline_with(self.preview)

    # The operator.

    @property
    def job(self) -> DistillationJob:
        job = job_with(self.suspend, self.preview)
        annotations = {RETRY_ANNOTATION: self.retry} if self.retry else {}
        metadata = job.metadata.model_copy(update={"generation": self.generation, "annotations": annotations})
        return job.model_copy(update={"metadata": metadata, "status": self.status})

    @property
    def status(self) -> DistillationJobStatus | None:
        return None if self.stored is None else DistillationJobStatus.model_validate(self.stored)

    def stage_status(self, name: str) -> StageStatus | None:
        return next((stage for stage in (self.status.stages if self.status else []) if stage.name == name), None)

    def observed(self, fresh: bool = False) -> Observed:
        lines = {
            pod.name: Progress(stage="x", done=len(pod.name), total=100, unit="steps")
            for pod in self.seen_pods.values()
            if pod.running
        }
        children = dict(self.seen_children)
        if not fresh:
            # A JobSet's end is heard of before that of its Job, which tells whose fault it was.
            for name, child in children.items():
                if child.failure_class is FailureClass.DISRUPTION:
                    children[name] = replace(child, failure_class=FailureClass.CRASH)
        return Observed(children, tuple(self.seen_pods.values()), lines, fresh=fresh)

    def decided(self, job: DistillationJob) -> Decision:
        """On what was seen, or, if that isn't enough, on all that there is."""
        decision = self.decided_on(job, self.observed())
        if not decision.needs_fresh_lists:
            return decision
        self.restart()
        return self.decided_on(job, self.observed(fresh=True))

    def decided_on(self, job: DistillationJob, observed: Observed) -> Decision:
        decision = decide(job, observed, self.now, graph_with(self.preview))
        assert decide(job, observed, self.now) == decision
        as_json = json.loads(json.dumps(decision.status.to_json_dict()))
        assert DistillationJobStatus.model_validate(as_json) == decision.status
        self.check_settled(job, observed, decision)
        return decision

    def check_settled(self, job: DistillationJob, observed: Observed, decision: Decision) -> None:
        """What leaves nothing to do needs no second decision on the same."""
        is_undone = decision.has_acts or decision.needs_fresh_lists or decision.is_end
        if not is_undone and decision.due_after != timedelta(0):
            settled = job.model_copy(update={"status": decision.status})
            again = decide(settled, observed, self.now, graph_with(self.preview))
            assert again == decision

    def reconcile(self, lost: Lost = "") -> Decision:
        """One step of the controller; it dies before it acts (``all``), or before it writes the status."""
        decision = self.decided(self.job)
        if lost == "all":
            return decision
        for name in decision.delete:
            self.delete(name)
        for creation in decision.create:
            self.create(creation.name, creation.stage.name, creation.attempt)
        if (decision.create or decision.delete) and not decision.is_end:
            decision = self.decided(self.job.model_copy(update={"status": decision.status}))
        if not lost:
            self.check_status(decision.status)
            self.stored = decision.status.to_json_dict()
            for name in decision.delete_once_written:
                self.delete(name)
        return decision

    def create(self, name: str, stage: str, attempt: int) -> None:
        status = self.stage_status(stage)
        asked = self.retry.startswith(f"{stage}/")
        over = status is not None and (status.state == "Complete" or (status.state == "Failed" and not asked))
        assert not over, f"{stage} has ended and is made anew"
        assert self.let_go or not self.pipeline.is_held_by_preview(self.pipeline[stage]), f"{stage} isn't let go"
        self.made[name] = stage
        for need in self.pipeline[stage].needs:
            before = self.stage_status(need)
            known = before is not None and before.state == "Complete"
            # What has begun without a preview isn't held up by one.
            known = known or (self.was_removed and need.startswith("preview-"))
            assert known or self.is_seen_complete(need), f"{stage} is made before {need} is complete"
        alive = [pod.name for pod in self.pods.values() if self.stage_of(pod) == stage and pod.alive]
        assert not alive, f"{name} is made beside {alive}"
        if name not in self.children:
            self.serial += 1
            uid = f"uid-{self.serial}"
            self.children[name] = Child(name, stage, attempt, ChildState.ACTIVE, uid=uid, created_at=self.now)
        self.seen_children[name] = self.children[name]
        for kind in self.pipeline:
            live = [c.name for c in self.children.values() if c.stage == kind and is_live(c)]
            assert len(live) <= 1, f"{live} live at once"

    def is_seen_complete(self, stage: str) -> bool:
        """By the child's own word, or by all of its pods."""
        seen = [child for child in self.seen_children.values() if child.stage == stage]
        pods = [pod for pod in self.seen_pods.values() if pod.result is not None]
        told = [sum(pod.owner == child.uid for pod in pods) >= PODS for child in seen]
        return any(told) or any(child.state is ChildState.COMPLETE for child in seen)

    def check_status(self, status: DistillationJobStatus) -> None:
        holding = [c.type for c in status.conditions if c.status == "True" and c.type in ("Complete", "Failed")]
        assert len(holding) == (status.phase in ("Complete", "Failed"))
        for stage in status.stages:
            # The one above the budget is the one that has failed it.
            spent = stage.state == "Failed"
            if stage.name not in GENERATIONS:  # each of its shards has a budget of its own
                assert stage.attempts.failures <= BUDGET["failures"] + spent
            assert stage.attempts.disruptions <= BUDGET["disruptions"] + spent
            before = self.stage_status(stage.name)
            if before is not None and before.state != "Failed":
                assert stage.attempts.failures >= before.attempts.failures
                assert stage.attempts.disruptions >= before.attempts.disruptions
            written = self.written.get(stage.name, [])
            assert stage.attempts.disruptions <= written.count("disruption")
            if stage.shard_retries is not None:
                assert stage.shard_retries.failures <= written.count("shard crash") + written.count("crash")

    def see_children(self) -> None:
        self.seen_children = dict(self.children)

    def see_pods(self) -> None:
        self.seen_pods = dict(self.pods)

    def restart(self) -> None:
        """A new operator lists everything."""
        self.see_children()
        self.see_pods()

    # The cluster.

    def stage_of(self, pod: Pod) -> str:
        return self.made[pod.child]

    def delete(self, name: str) -> None:
        if name in self.children:
            self.children[name] = replace(self.children[name], terminating=True)

    def collect(self) -> None:
        """Garbage collection: children that are going are gone; their pods follow later."""
        gone = [name for name, child in self.children.items() if child.terminating]
        for name in gone:
            del self.children[name]

    def start_pods(self, child: Child) -> None:
        if child.state is not ChildState.ACTIVE or child.terminating or self.pods_of(child):
            return
        for index in range(PODS):
            self.serial += 1
            name = f"{child.name}-{index}-{self.serial}"
            self.pods[name] = Pod(name, child.name, index, child.stage, running=True, owner=child.uid)

    def pods_of(self, child: Child) -> list[Pod]:
        return [pod for pod in self.pods.values() if pod.child == child.name and not pod.ended]

    def next_outcome(self, child: Child) -> Outcome:
        """How a run ends. An end that was never counted, since its child was deleted before, happens again."""
        status = self.stage_status(child.stage)
        counted = status.attempts.failures + status.attempts.disruptions if status else 0
        known = status.shard_retries if status else None
        if known is not None and known.job == child.uid:
            counted -= known.failures + known.disruptions
        counted += sum(self.replaced.get(child.uid, (0, 0)))
        outcomes = self.script.get(child.stage, [])
        return outcomes[counted] if counted < len(outcomes) else "complete"

    def replace_shard(self, child: Child, outcome: Outcome) -> None:
        """One shard's pod ends, and the Job makes another one that tells what its index has cost."""
        self.start_pods(child)
        pod = self.pods_of(child)[self.serial % PODS]
        crashes, disruptions = self.replaced.get(child.uid, (0, 0))
        crash = outcome == "shard crash"
        self.replaced[child.uid] = (crashes + crash, disruptions + (not crash))
        failures, taken = pod.index_failures + crash, pod.index_disruptions + (not crash)
        self.serial += 1
        name = f"{child.name}-{pod.index}-{self.serial}"
        self.pods[name] = replace(pod, name=name, index_failures=failures, index_disruptions=taken)
        self.pods[pod.name] = replace(
            pod, running=False, ended=True, finished=self.now, disrupted=not crash, exit_text="exit code 1",
            index_failures=failures, index_disruptions=taken,
        )  # fmt: skip

    def is_spent(self, child: Child) -> bool:
        """Whether its shards were taken away more often than is allowed; an operator sees that before it ends."""
        status = self.stage_status(child.stage)
        known = status.shard_retries if status else None
        before = status.attempts.disruptions if status else 0
        if known is not None and known.job == child.uid:
            before -= known.disruptions
        return before + self.replaced.get(child.uid, (0, 0))[1] > BUDGET["disruptions"]

    def finish(self, child: Child) -> None:
        """The child's run ends, and its pods."""
        if not is_live(child) or child.state is not ChildState.ACTIVE:
            return
        if child.uid in self.worked and not self.pods_of(child):
            # Late, and now and then badly.
            state = ChildState.FAILED if len(self.worked) % 3 == 0 else ChildState.COMPLETE
            self.children[child.name] = replace(child, state=state, ended_at=self.now)
            return
        outcome = self.next_outcome(child)
        if child.stage in GENERATIONS:
            if self.is_spent(child):
                return
            if outcome in REPLACED:
                self.replace_shard(child, outcome)
                return
        self.runs[child.stage] = self.runs.get(child.stage, 0) + 1
        good = outcome in ("complete", "result lost")
        kinds = {
            "crash": FailureClass.CRASH,
            "disruption": FailureClass.DISRUPTION,
            "permanent": FailureClass.PERMANENT,
        }
        self.children[child.name] = replace(
            child,
            state=ChildState.COMPLETE if good else ChildState.FAILED,
            failure_class=kinds.get(outcome),
            ended_at=self.now,
        )
        self.start_pods(child)
        mark = self.fingerprint_of(child.stage)
        for pod in self.pods_of(child)[: None if good else 1]:  # after a failure the others run on for a while
            ended = replace(pod, running=False, ended=True, succeeded=good, complete=good, finished=self.now)
            match outcome:
                case "complete":
                    ended = replace(ended, result=StageResult(stage=child.stage, fingerprint=mark))
                case "permanent":
                    verdict = StageFailure(stage=child.stage, reason="MissingColumn", message="", permanent=True)
                    ended = replace(ended, failure=verdict, exit_text="exit code 65")
                case "crash":
                    ended = replace(ended, exit_text="exit code 1", index_failures=pod.index_failures + 1)
                case "disruption":
                    del self.pods[pod.name]  # gone with its node
                    continue
            self.pods[pod.name] = ended

    def end_work(self, child: Child) -> None:
        """The pods of a child do their work, and nobody else says so yet."""
        if not is_live(child) or child.state is not ChildState.ACTIVE or self.next_outcome(child) != "complete":
            return
        if child.stage in GENERATIONS and self.is_spent(child):
            return
        self.start_pods(child)
        self.runs[child.stage] = self.runs.get(child.stage, 0) + (child.uid not in self.worked)
        self.worked.add(child.uid)
        result = StageResult(stage=child.stage, fingerprint=self.fingerprint_of(child.stage))
        for pod in self.pods_of(child):
            self.pods[pod.name] = replace(
                pod, running=False, ended=True, succeeded=True, complete=True, finished=self.now, result=result
            )

    def fingerprint_of(self, stage: str) -> str:
        known = pipeline_with("Continue" if stage not in self.pipeline else self.preview)
        return known[stage].fingerprint

    def end_orphans(self) -> None:
        """Pods whose child is gone or going end and go, and those that a failure has left running."""
        live = {name for name, child in self.children.items() if not child.terminating}
        over = {name for name, child in self.children.items() if child.ended_at is not None}
        self.pods = {
            name: pod for name, pod in self.pods.items() if pod.child in live and (pod.ended or pod.child not in over)
        }

    def remove_ended_pods(self) -> None:
        """Somebody tidies up: what has failed is removed, and what it counted with it."""
        over = {name for name, child in self.children.items() if child.ended_at is not None}
        self.pods = {name: pod for name, pod in self.pods.items() if not pod.ended or pod.child in over}

    def hold(self, child: Child) -> None:
        """The queue takes a child's quota away: its pods go."""
        if is_live(child):
            self.children[child.name] = replace(child, state=ChildState.HELD)
            for pod in self.pods_of(child):
                del self.pods[pod.name]

    def admit(self, child: Child) -> None:
        if child.state is ChildState.HELD:
            self.children[child.name] = replace(child, state=ChildState.ACTIVE)

    def toggle_suspend(self) -> None:
        self.suspend = not self.suspend
        self.generation += 1

    def ask_for(self, preview: Then) -> None:
        """The user changes what follows the preview, or removes it."""
        self.preview = preview
        self.was_removed = self.was_removed or not preview
        self.let_go = self.let_go or preview != "Stop"
        self.generation += 1

    # To the end.

    def settle(self) -> Decision:
        """Nothing disturbs any more: reconcile until the job has ended."""
        if self.suspend:
            self.toggle_suspend()
        if self.preview == "Stop":
            self.ask_for("Continue")
        for _ in range(PATIENCE):
            self.restart()
            decision = self.reconcile()
            if decision.status.phase in ("Complete", "Failed"):
                return decision
            self.collect()
            self.end_orphans()
            for child in list(self.children.values()):
                self.admit(child)
            for child in list(self.children.values()):
                self.finish(child)
            self.now += timedelta(seconds=30)
        raise AssertionError(f"never ends: {self.stored}")


def is_live(child: Child) -> bool:
    return child.ended_at is None and not child.terminating


def fails(script: Script, preview: Then = "") -> bool:
    """Whether a job with this script fails: a stage that is reached runs out of its budget."""
    complete: set[str] = set()
    for name, stage in pipeline_with(preview).items():
        failures = disruptions = 0
        if not complete.issuperset(stage.needs):
            continue
        for outcome in [*script.get(name, []), "complete"]:
            failures += outcome in ("crash", "shard crash", "result lost")
            disruptions += outcome == "disruption"
            if outcome == "complete":
                complete.add(name)
                break
            if outcome == "permanent" or (name in GENERATIONS and outcome == "crash"):
                # Of a crash of a shard: its Job has tried it again as often as the budget allows.
                return True
            if outcome in ("crash", "result lost") and failures > BUDGET["failures"]:
                return True
            if outcome == "disruption" and disruptions > BUDGET["disruptions"]:
                return True
    return False


outcomes = st.lists(
    st.sampled_from(["complete", "crash", "disruption", "result lost", "crash", "disruption", "permanent"]), max_size=4
)
shards = st.lists(st.sampled_from(["shard crash", "disruption", "shard crash", "result lost", "crash"]), max_size=4)
# Most stages go well, or few jobs would come far.
scripts = st.builds(
    lambda stages, generation: {**stages, **({"generate": generation} if generation else {})},
    st.dictionaries(st.sampled_from(ALL), outcomes, max_size=3),
    shards,
)
of_preview = st.builds(
    lambda stages, generation, preview: {
        **stages,
        **({"generate": generation} if generation else {}),
        **({"preview-generate": preview} if preview else {}),
    },
    st.dictionaries(st.sampled_from([name for name in WITH_PREVIEW if name not in GENERATIONS]), outcomes, max_size=3),
    shards,
    shards,
)
steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *["reconcile"] * 6,
                *["see children", "see pods", "start", "finish", "finish", "collect", "pods end", "tick"] * 2,
                *["work ends"] * 2,
                "ended pods go",
                "status is lost",
                "operator dies",
                "restart",
                *["suspend or resume", "somebody deletes"] * 2,
                "jump",
                "clock goes back",
                "hold",
                "admit",
                "preview",
            ]
        ),
        st.integers(0, 11),
    ),
    min_size=40,  # without it most histories have five steps
    max_size=80,
)


def take(world: World, step: str, number: int) -> None:
    """One step of a history. ``number`` chooses the child, or how long."""
    children = list(world.children.values())
    live = [child for child in children if is_live(child)]
    on_child: dict[str, Callable[[Child], None]] = {
        "start": world.start_pods,
        "finish": world.finish,
        "work ends": world.end_work,
        "hold": world.hold,
        "admit": world.admit,
    }
    if step in on_child:
        if live:
            on_child[step](live[number % len(live)])
        return
    match step:
        case "somebody deletes":
            if children:
                world.delete(children[number % len(children)].name)
        case "reconcile":
            world.reconcile()
        case "status is lost":
            world.reconcile(lost="status")
        case "operator dies":
            world.reconcile(lost="all")
            world.restart()
        case "restart":
            world.restart()
        case "see children":
            world.see_children()
        case "see pods":
            world.see_pods()
        case "collect":
            world.collect()
        case "pods end":
            world.end_orphans()
        case "ended pods go":
            world.remove_ended_pods()
        case "tick":
            world.now += timedelta(seconds=number)
        case "jump":
            world.now += timedelta(hours=number)
        case "clock goes back":
            # Another machine's clock after a takeover.
            world.now -= timedelta(seconds=10 * number)
        case "suspend or resume":
            world.toggle_suspend()
        case "preview" if world.preview:
            world.ask_for("Stop" if number % 2 else "Continue")


@settings(max_examples=30, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(scripts, steps)
def test_any_history_ends_as_the_script_says(script: Script, history: list[tuple[str, int]]) -> None:
    """Cases 7 and 56."""
    world = World(script)
    for step, number in history:
        take(world, step, number)
    decision = world.settle()
    assert decision.status.phase == ("Failed" if fails(script) else "Complete")
    # At rest: nothing is written, made or removed any more, also after the children are gone.
    for _ in range(2):
        world.restart()
        world.reconcile()
        world.collect()
        world.end_orphans()
    # The clock may have gone back since it ended.
    ended = parse_time(decision.status.completion_time or "")
    world.now = max(world.now, ended) + timedelta(seconds=world.job.spec.ttl_seconds_after_finished)
    world.reconcile()
    world.collect()
    assert not world.children
    world.restart()
    at_rest = world.decided(world.job)
    assert at_rest.status.to_json_dict() == world.stored
    assert (at_rest.create, at_rest.delete, at_rest.requeue_after) == ((), (), None)


@settings(max_examples=20, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(of_preview, steps, st.sampled_from(["Stop", "Continue"]))
def test_any_history_of_a_preview_ends_as_the_script_says(
    script: Script, history: list[tuple[str, int]], then: Then
) -> None:
    """``create`` asserts that no real work begins that the preview, or the user after it, hasn't let go."""
    world = World(script, preview=then)
    for step, number in history:
        take(world, step, number)
    decision = world.settle()
    assert decision.status.phase == ("Failed" if fails(script, "Continue") else "Complete")
    status = world.status
    assert status is not None
    assert (status.preview is not None) == ("preview-generate" in {stage.name for stage in status.stages})


@settings(max_examples=5, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(steps, steps, steps))
def test_a_preview_may_be_removed_and_asked_for_again_at_any_time(histories: tuple[list[tuple[str, int]], ...]) -> None:
    world = World({}, preview="Stop")
    words: tuple[Then, ...] = ("", "Stop", "")
    for history, preview in zip(histories, words, strict=True):
        for step, number in history:
            take(world, step, number)
        world.ask_for(preview)
    assert world.settle().status.phase == "Complete"
    world.restart()
    world.reconcile()
    assert not [child.name for child in world.children.values() if is_live(child)]


def test_a_preview_that_stops_comes_to_rest_and_goes_on_at_the_users_word() -> None:
    world = World({}, preview="Stop")
    for _ in range(PATIENCE):
        before = world.stored
        world.restart()
        world.reconcile()
        world.collect()
        for child in list(world.children.values()):
            world.finish(child)
        if world.stored == before:
            break
    assert world.status is not None
    assert world.status.phase == "Suspended"
    assert {name for name in world.runs if not name.startswith("preview-")}.isdisjoint(
        {"generate", "pack-one", "pack-two", "train-one", "train-two", "export", "evaluate"}
    )
    world.settle()
    assert dict(world.runs) == dict.fromkeys(WITH_PREVIEW, 1)


@settings(max_examples=15, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(scripts, steps)
def test_a_cluster_that_stands_still_is_written_about_once(script: Script, history: list[tuple[str, int]]) -> None:
    world = World(script)
    for step, number in history:
        take(world, step, number)
    for _ in range(PATIENCE):
        before = world.stored
        world.restart()
        world.reconcile()
        if world.stored == before:
            break
    else:
        raise AssertionError(f"never comes to rest: {world.stored}")
    world.now += timedelta(milliseconds=1)
    world.reconcile()
    assert world.stored == before


STATUS_LOST_TWICE = [
    ("suspend or resume", 0), ("reconcile", 0), ("suspend or resume", 0), ("status is lost", 0),
    ("somebody deletes", 0), ("somebody deletes", 1), ("see children", 0), ("status is lost", 0), ("start", 2),
    ("somebody deletes", 4), ("collect", 0),
]  # fmt: skip
"""Of the second attempt, which no status knows, pods are left without their child."""


@settings(max_examples=20, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@example({"generate": ["shard crash", "shard crash", "shard crash", "crash"]}, STATUS_LOST_TWICE)
@given(scripts, steps)
def test_a_failed_job_that_is_mended_and_retried_goes_on_to_the_end(
    script: Script, history: list[tuple[str, int]]
) -> None:
    """``create`` asserts that nothing that is complete is made again."""
    assume(fails(script))
    world = World(script)
    for step, number in history:
        take(world, step, number)
    assert world.settle().status.phase == "Failed"
    world.script = {}
    for nonce in range(len(ALL)):
        failed = [name for name in ALL if (stage := world.stage_status(name)) and stage.state == "Failed"]
        world.retry = f"{failed[0]}/{nonce}"
        phase = world.settle().status.phase
        if phase == "Complete":
            break
        assert len(failed) > 1, "the only failed stage was mended"
    assert phase == "Complete"


def test_an_undisturbed_job_makes_each_child_once() -> None:
    world = World({})
    world.settle()
    assert {name: runs for name, runs in world.runs.items()} == dict.fromkeys(ALL, 1)
