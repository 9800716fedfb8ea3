"""A job as a row of the list."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from distillation_api.status import JobPhase
from distillation_operator.dashboard.advice import Problem, conditions, problems
from distillation_operator.dashboard.lenient import Object, mapping, members, number, text, time

Key = tuple[str, str]
"""Namespace and name; of a file its folder and name."""

UNSEEN = "Unseen"
PHASES: tuple[str, ...] = (*get_args(JobPhase), UNSEEN)
"""What a job's phase may be here."""
ENDED = ("Complete", "Failed")
"""Of a job and of a stage: nothing follows."""
UNSEEN_TEXT = "Not yet seen by the operator"


@dataclass(frozen=True)
class Row:
    """What the list shows of a job."""

    key: Key
    phase: str
    is_leaving: bool
    """Whether it is being deleted."""
    stage: str
    percent: int | None
    loss: str
    chip_hours: str
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    expected: datetime | None
    problem: Problem | None
    teacher: str
    student: str

    @property
    def phase_text(self) -> str:
        """The phase for people."""
        return UNSEEN_TEXT if self.phase == UNSEEN else self.phase

    @property
    def is_running(self) -> bool:
        """Whether something of it may still change."""
        return self.phase not in ENDED

    @property
    def searched(self) -> str:
        """The text that the filter looks through."""
        reason = self.problem.advice.reason if self.problem else ""
        return " ".join((*self.key, self.stage, reason, self.teacher, self.student)).lower()

    @property
    def order(self) -> str:
        """Sorts rows, the greatest first: the newest job on top."""
        return f"{self.created.isoformat() if self.created else ''} {'/'.join(self.key)}"


def row(key: Key, job: Object) -> Row:
    """The row of a job."""
    status, metadata = mapping(job.get("status")), mapping(job.get("metadata"))
    spec = mapping(job.get("spec"))
    found = problems(job)
    return Row(
        key=key,
        phase=phase(job),
        is_leaving=bool(metadata.get("deletionTimestamp")),
        stage=text(status.get("currentStage"), 256),
        percent=percent(status),
        loss=text(status.get("loss"), 32),
        chip_hours=text(status.get("chipHours"), 32),
        created=time(metadata.get("creationTimestamp")),
        started=time(status.get("startTime")),
        ended=_ended(job),
        expected=time(status.get("estimatedCompletionTime")),
        problem=found[0] if found else None,
        teacher=source(mapping(spec.get("teacher"))),
        student=source(mapping(spec.get("student"))),
    )


def phase(job: Object) -> str:
    """The phase; by the conditions where an old status has none, and Unseen where there is no status."""
    status = mapping(job.get("status"))
    told = text(status.get("phase"), 32)
    if told:
        return told
    ended = [kind for kind, condition in conditions(job).items() if condition.get("status") == "True"]
    for kind in ENDED:
        if kind in ended:
            return kind
    return "Pending" if status else UNSEEN


def _ended(job: Object) -> datetime | None:
    """When the job ended; by its condition where the status of an old operator, or a saved one, doesn't say."""
    told, kind = time(mapping(job.get("status")).get("completionTime")), phase(job)
    condition = conditions(job).get(kind, {}) if kind in ENDED else {}
    return told or (time(condition.get("lastTransitionTime")) if condition.get("status") == "True" else None)


def percent(status: Object) -> int | None:
    """Progress of the current stage, 0 to 100; None where nothing says."""
    told = number(text(status.get("progress"), 16).removesuffix("%"))
    if told is not None:
        return min(100, int(told))
    running = (stage for stage in members(status.get("stages")) if stage.get("state") == "Running")
    return next((share for share in map(stage_percent, running) if share is not None), None)


def stage_percent(stage: Object) -> int | None:
    """Progress of a stage, 0 to 100; None where nothing says."""
    progress = mapping(stage.get("progress"))
    done, total = number(progress.get("done")), number(progress.get("total"))
    return min(100, int(100 * done / total)) if done is not None and total else None


def source(model: Object) -> str:
    """Where a model or dataset comes from, in one text."""
    told = mapping(model.get("source"))
    places: Iterable[object] = (
        mapping(told.get("huggingFace")).get("repo"),
        mapping(told.get("gcs")).get("uri"),
        told.get("path"),
    )
    return next((found for found in (text(place, 256) for place in places) if found), "")
