"""One job on this machine, to its end: look at its processes, decide, act, decide again, write the status, wait.

What a controller is on a cluster, with the same decisions. All that matters stands in the job's folder after each step.
"""

import contextlib
import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from distillation_api import reasons
from distillation_api.contract import GenerateProgram, Progress
from distillation_api.resource import DistillationJob
from distillation_api.status import DistillationJobStatus
from distillation_operator.local.attempts import Attempt, Attempts, Run
from distillation_operator.local.capacity import Requests, requests_of
from distillation_operator.local.environment import Secrets, variables
from distillation_operator.local.errors import LocalError
from distillation_operator.local.folder import JobFolder
from distillation_operator.local.observation import observation
from distillation_operator.local.processes import Processes, Start
from distillation_operator.manifests.kinds import child_manifest
from distillation_operator.manifests.pod import CONTAINER
from distillation_operator.manifests.reading import parse_progress
from distillation_operator.manifests.settings import Installation
from distillation_operator.manifests.stage_pods import StagePods
from distillation_operator.pipeline.cause import Cause
from distillation_operator.pipeline.decision.job import Creation, Decision, decide
from distillation_operator.pipeline.graph import build_pipeline
from distillation_operator.pipeline.stage import Stage

Object = dict[str, Any]

PROGRAM = ("-P", "-m", "distillation_stages")
TEACHER_ON_TPU = "teacher-tpu"
INSTALLATION = Installation(allow_unlisted_max_text=True, stage_pods=StagePods(shared_compile_cache=True))
"""The machine is the user's own, and so is what is compiled on it."""
LONGEST_WAIT = timedelta(seconds=30)
PROGRESS_PERIOD = timedelta(seconds=5)
"""What processes print is read so often."""


def image_of(stage: Stage) -> str:
    """The environment that a stage's program runs in."""
    return TEACHER_ON_TPU if stage.image == "teacher" and stage.placement.hardware == "tpu" else stage.image


@dataclass(frozen=True)
class Machine:
    """What processes find here."""

    name: str
    capacity: Requests
    interpreters: Mapping[str, Path]
    """By image."""
    storage: Path
    scratch: Path
    """Folder below which each process has one of its own."""
    variables: Mapping[str, str]
    """This process's environment, of which some is kept."""
    secrets: Secrets
    code: Path | None = None
    """Folder with the API and the stage programs, for interpreters that don't have them."""


class Waits(Protocol):
    """What is waited with: ``signals.Signals``."""

    received: list[int]
    """Signals that ask for the end."""

    def wait(self, seconds: float | None) -> None:
        """Return after the time, or as soon as something happens."""


class Runner:
    """Brings one job to its end with processes of this machine."""

    def __init__(
        self,
        thing: Object,
        folder: JobFolder,
        processes: Processes,
        machine: Machine,
        show: Callable[[Object], None] = lambda thing: None,
        say: Callable[[str], None] = lambda text: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``thing``: the whole object, as it stands in the folder; ``show`` gets it after each change."""
        self.thing = thing
        self._folder = folder
        self._processes = processes
        self._machine = machine
        self._show = show
        self._say = say
        self._clock = clock
        self._kept = folder.read_attempts()
        self._attempts = Attempts(copy.deepcopy(self._kept))
        self._creations: dict[str, Creation] = {}
        self._requests: dict[str, Requests] = {}
        self._started = 0

    @property
    def phase(self) -> str | None:
        """The job's phase, as the status has it."""
        phase = (self.thing.get("status") or {}).get("phase")
        return None if phase is None else str(phase)

    @property
    def is_at_rest(self) -> bool:
        """True when nothing runs and nothing will by itself: the job has ended, or is suspended."""
        over = self.phase in ("Complete", "Failed", "Suspended")
        return over and not any(attempt.ended is None for attempt in self._attempts.known)

    def run(self, waits: Waits) -> None:
        """Go on until the job is at rest, or a signal asks for the end: then its processes end as pods do."""
        try:
            self._until_rest(waits)
        except BaseException:
            # What goes wrong at the end, of a full disk or a closed pipe, must not hide what went wrong first.
            with contextlib.suppress(LocalError, OSError):
                self.stop(waits)
            raise
        self.stop(waits)

    def _until_rest(self, waits: Waits) -> None:
        if self.phase is not None:
            self._show(self.thing)
        while not waits.received:
            left = self.step()
            if self.is_at_rest:
                return
            waits.wait(left.total_seconds())

    def step(self) -> timedelta:
        """One look at everything; returns the time after which to look again if nothing happens."""
        now = self._clock()
        self._reap(now)
        self._keep_attempts()
        decision = self._decide(now)
        if decision.create or decision.delete:
            self._act(decision, now)
        self._start_waiting(now)
        again = self._decide(now)
        last = decision if decision.is_end else again
        self._write(last.status)
        self._delete(last.delete_once_written)
        return self._until(again, now)

    def stop(self, waits: Waits) -> None:
        """End all processes, each with its grace; at a second signal they are killed. Unfinished attempts are made
        again by the next start.
        """
        for attempt in self._attempts.known:
            for run in attempt.live_runs:
                run.stopping = True
                self._processes.stop(run.name)
        if waits.received and self._has_live_runs():
            # Who doesn't read any more must not keep them from ending.
            with contextlib.suppress(OSError):
                self._say("ending the processes that run, which may save what they are at; Ctrl-C once more kills them")
        while self._has_live_runs():
            self._reap(self._clock())
            if self._has_live_runs():
                if len(waits.received) > 1:
                    self._processes.kill()
                waits.wait(self._processes.next_kill())
        was_at_rest = self.is_at_rest
        self._attempts.forget_unfinished()
        self._keep_attempts()
        if not was_at_rest:
            self._tell_end(self._clock())

    def _tell_end(self, now: datetime) -> None:
        """Write the status as it stays until the next start: nothing runs."""
        cause = Cause.of(reasons.LOCAL_ENDED, "Ended with `distillation-operator local`; the same command goes on.")
        put_off = {creation.name: cause for creation in self._decide(now).create}
        self._write(self._decide(now, put_off).status)

    def _has_live_runs(self) -> bool:
        return any(attempt.live_runs for attempt in self._attempts.known)

    def _job(self) -> DistillationJob:
        return DistillationJob.parse(self.thing)

    def _reap(self, now: datetime) -> None:
        ended = self._processes.ended()
        for attempt in list(self._attempts.known):
            for run in list(attempt.runs):
                end = ended.get(run.name) if run.is_running else None
                if end is not None:
                    self._attempts.end(attempt, run, end.exit_code, end.message, now)
        self._pass_on_stops()

    def _keep_attempts(self) -> None:
        """Those that have ended: of the others nothing is left when this process isn't."""
        known = [attempt for attempt in self._attempts.known if attempt.ended is not None]
        if known != self._kept:
            self._folder.write_attempts(known)
            self._kept = copy.deepcopy(known)

    def _decide(self, now: datetime, put_off: Mapping[str, Cause] | None = None) -> Decision:
        job = self._job()
        return decide(
            job,
            observation(
                job.metadata.name,
                job.metadata.uid,
                self._attempts,
                self._machine.name,
                self._progress(),
                self._waits(now),
                now,
                put_off,
            ),
            now,
        )

    def _progress(self) -> dict[str, Progress]:
        lines = {
            run.name: parse_progress(self._processes.output(run.name))
            for attempt in self._attempts.known
            for run in attempt.live_runs
        }
        return {name: line for name, line in lines.items() if line is not None}

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            self._attempts.delete(name)
        self._keep_attempts()

    def _act(self, decision: Decision, now: datetime) -> None:
        job = self._job()
        self._delete(decision.delete)
        for creation in decision.create:
            stage = creation.stage
            program = stage.program
            self._attempts.create(
                creation.name,
                stage.name,
                creation.attempt,
                stage.fingerprint,
                stage.output,
                now,
                shards=program.shards if isinstance(program, GenerateProgram) else None,
                retries=job.spec.retries.failures,
            )
            self._creations[creation.name] = creation
        self._pass_on_stops()

    def _pass_on_stops(self) -> None:
        for attempt in self._attempts.known:
            for run in attempt.live_runs:
                if run.stopping:
                    self._processes.stop(run.name)

    def _start_waiting(self, now: datetime) -> None:
        for attempt, run in self._attempts.waiting(now):
            if self._lack(attempt) is None:
                self._start(attempt, run, now)

    def _waits(self, now: datetime) -> dict[str, str]:
        lacks = {run.name: self._lack(attempt) for attempt, run in self._attempts.waiting(now)}
        return {name: lack for name, lack in lacks.items() if lack is not None}

    def _lack(self, attempt: Attempt) -> str | None:
        """What keeps a process of the attempt from being started."""
        whole = self._machine.capacity
        used = [self._wants(other) for other in self._attempts.known for _ in other.live_runs]
        return self._wants(attempt).missing(used, whole)

    def _wants(self, attempt: Attempt) -> Requests:
        if attempt.name not in self._requests:
            pod = self._pod(self._creations[attempt.name])
            self._requests[attempt.name] = requests_of(_container(pod)["resources"]).within(self._machine.capacity)
        return self._requests[attempt.name]

    def _pod(self, creation: Creation) -> Object:
        """The pod's spec that a cluster would be given."""
        manifest = child_manifest(self._job(), creation.stage, creation.attempt, INSTALLATION)
        spec = manifest["spec"]
        if "replicatedJobs" in spec:
            spec = spec["replicatedJobs"][0]["template"]["spec"]
        return dict(spec["template"]["spec"])

    def _start(self, attempt: Attempt, run: Run, now: datetime) -> None:
        creation, machine = self._creations[attempt.name], self._machine
        pod = self._pod(creation)
        self._started += 1
        scratch = machine.scratch / str(self._started)
        environment = variables(
            _container(pod), machine.variables, machine.secrets, machine.storage, scratch, int(machine.capacity.cores)
        )
        if attempt.indexed:
            environment["JOB_COMPLETION_INDEX"] = str(run.index)
        if machine.code is not None:
            environment["PYTHONPATH"] = str(machine.code)
        run.started = now
        self._processes.start(
            Start(
                name=run.name,
                command=[str(machine.interpreters[image_of(creation.stage)]), *PROGRAM],
                environment=environment,
                scratch=scratch,
                log=self._folder.log(attempt.stage, attempt.number, run.index),
                grace=pod["terminationGracePeriodSeconds"],
            )
        )

    def _write(self, status: DistillationJobStatus) -> None:
        after = status.to_json_dict()
        if after != self.thing.get("status"):
            self.thing = {**self.thing, "status": after}
            self._folder.write(self.thing)
            self._show(self.thing)

    def _until(self, decision: Decision, now: datetime) -> timedelta:
        waits = [PROGRESS_PERIOD if self._has_live_runs() else LONGEST_WAIT]
        if decision.requeue_after is not None:
            waits.append(decision.requeue_after)
        due = self._attempts.next_due(now)
        if due is not None:
            waits.append(due - now)
        kill = self._processes.next_kill()
        if kill is not None:
            waits.append(timedelta(seconds=kill))
        return max(min(waits), timedelta(0))


def images_of(job: DistillationJob) -> list[str]:
    """The environments that the job's stages run in, each once."""
    return list(dict.fromkeys(image_of(stage) for stage in build_pipeline(job.spec).values()))


def _container(pod: Object) -> Object:
    return next(dict(container) for container in pod["containers"] if container["name"] == CONTAINER)
