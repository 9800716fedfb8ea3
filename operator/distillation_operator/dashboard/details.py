"""A job as a page of its own: everything that its status says, ordered for reading."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from distillation_api.contract import MEASURED
from distillation_operator.dashboard.advice import Advice, Problem, advice, problems
from distillation_operator.dashboard.layout import Layout, lay_out
from distillation_operator.dashboard.lenient import Object, count, mapping, members, number, text, texts, time
from distillation_operator.dashboard.needs import Needs, stage_needs
from distillation_operator.dashboard.places import Place, file, folder, published, storage_name
from distillation_operator.dashboard.row import ENDED, Key, Row, row, source, stage_percent
from distillation_operator.pipeline.status.idle_chips import added_up

_SECONDS_OF_HOUR = 3600
_ACROSS = {"wide": 3, "narrow": 2}
"""Stages in a row of the graph: as many as there is room for at full size."""


@dataclass(frozen=True)
class StageDetails:
    """What is shown of a stage."""

    name: str
    state: str
    percent: int | None
    progress: str
    """Units done and in all, and the rate."""
    attempt: int
    failures: int
    disruptions: int
    reused: bool
    started: datetime | None
    ended: datetime | None
    expected: datetime | None
    chip_hours: str
    idle: str
    metrics: dict[str, str]
    counts: dict[str, str]
    outputs: dict[str, Place]
    advice: Advice | None
    needs: tuple[str, ...]
    is_running: bool
    """Whether something of it may still change."""

    @property
    def label(self) -> str:
        """State and progress in a few words."""
        if self.state == "Running" and self.percent is not None:
            return f"{self.state} {self.percent} %"
        return f"{self.state}, reused" if self.reused else self.state


@dataclass(frozen=True)
class FailureDetails:
    """What is shown of an attempt that failed."""

    stage: str
    attempt: int
    kind: str
    node: str
    exit_code: str
    time: datetime | None
    advice: Advice


@dataclass(frozen=True)
class Score:
    """A score of the student before and after."""

    name: str
    before: str
    after: str
    change: str


@dataclass(frozen=True)
class Preview:
    """What a preview has found."""

    figures: dict[str, str]
    facts: list[tuple[str, str, str, str]]
    """Stage, name, value, and whether it is as expected."""


@dataclass(frozen=True)
class Details:
    """What the page of a job shows."""

    row: Row
    method: str
    dataset: str
    storage: str
    idle: str
    """Share of the chips' time before first tokens and steps."""
    problems: list[Problem]
    stages: list[StageDetails]
    layouts: dict[str, Layout]
    """The graph for a wide screen and for a narrow one; none where the spec can't be read."""
    failures: list[FailureDetails]
    scores: list[Score]
    results: dict[str, Place]
    preview: Preview | None


def details(key: Key, job: Object) -> Details:
    """The page of a job."""
    status, spec = mapping(job.get("status")), mapping(job.get("spec"))
    needs = stage_needs(job)
    told = members(status.get("stages"))
    names = {text(stage.get("name"), 63) for stage in told}
    if not told:
        # What will be done, while the operator hasn't looked.
        told = [{"name": name, "state": "Waiting"} for name in needs or ()]
    of_job = row(key, job)
    stages = [
        _stage(job, stage, (needs or {}).get(text(stage.get("name"), 63), ()), is_running=of_job.is_running)
        for stage in told
    ]
    return Details(
        row=of_job,
        method=text(status.get("method"), 32),
        dataset=source(mapping(spec.get("dataset"))),
        storage=storage_name(job),
        idle=_idle(told),
        problems=problems(job),
        stages=stages,
        layouts=_layouts({name: wanted for name, wanted in (needs or {}).items() if not names or name in names}),
        failures=[_failure(failure) for failure in reversed(members(status.get("lastFailures")))],
        scores=list(_scores(mapping(status.get("results")))),
        results=_results(job, mapping(status.get("results"))),
        preview=_preview(mapping(status.get("preview"))),
    )


def _layouts(needs: Needs) -> dict[str, Layout]:
    return {kind: lay_out(needs, across) for kind, across in _ACROSS.items()} if needs else {}


def _stage(job: Object, stage: Object, needs: tuple[str, ...], *, is_running: bool) -> StageDetails:
    attempts = mapping(stage.get("attempts"))
    chip_seconds = number(stage.get("chipSeconds"))
    metrics = texts(stage.get("metrics"))
    return StageDetails(
        name=text(stage.get("name"), 63),
        state=text(stage.get("state"), 32) or "Waiting",
        percent=stage_percent(stage),
        progress=_progress(mapping(stage.get("progress"))),
        attempt=count(stage.get("attempt")),
        failures=count(attempts.get("failures")),
        disruptions=count(attempts.get("disruptions")),
        reused=stage.get("reused") is True,
        started=time(stage.get("startTime")),
        ended=time(stage.get("completionTime")),
        expected=time(stage.get("estimatedCompletionTime")),
        chip_hours=f"{chip_seconds / _SECONDS_OF_HOUR:.2f}" if chip_seconds else "",
        idle=_idle([stage]),
        # What a preview has measured stands together, in the job's status.
        metrics={name: value for name, value in metrics.items() if not name.startswith(MEASURED)},
        counts=texts(stage.get("counts")),
        outputs={name: folder(job, path) for name, path in texts(stage.get("outputs")).items()},
        advice=advice(stage),
        needs=needs,
        is_running=is_running and stage.get("state") not in ENDED,
    )


def _progress(progress: Object) -> str:
    done, total = number(progress.get("done")), number(progress.get("total"))
    if done is None or not total:
        return ""
    unit, rate = text(progress.get("unit"), 16), text(progress.get("rate"), 32)
    return f"{done:,.0f} of {total:,.0f} {unit}" + (f", {rate} {unit}/s" if rate else "")


def _idle(stages: Iterable[Object]) -> str:
    stages = list(stages)
    whole = sum(number(stage.get("chipSeconds")) or 0 for stage in stages)
    told = (mapping(stage.get("chipSecondsIdle")) for stage in stages)
    parts = added_up({part: count(seconds) for part, seconds in of_one.items()} for of_one in told)
    idle = sum(parts.values())
    if not whole or not idle:
        return ""
    listed = ", ".join(f"{text(part, 32)} {seconds / whole:.0%}" for part, seconds in parts.items() if seconds)
    return f"{min(idle / whole, 1):.0%} before the first token or step ({listed})"


def _failure(failure: Object) -> FailureDetails:
    return FailureDetails(
        stage=text(failure.get("stage"), 63),
        attempt=count(failure.get("attempt")),
        kind=text(failure.get("class"), 32),
        node=text(failure.get("node"), 253),
        exit_code=text(failure.get("exitCode"), 16),
        time=time(failure.get("time")),
        advice=advice(failure) or Advice("", ""),
    )


def _scores(results: Object) -> Iterable[Score]:
    for name, unit in (("crossEntropy", "Held-out cross-entropy"), ("kl", "KL to the teacher")):
        before, after = text(results.get(f"{name}Before"), 32), text(results.get(f"{name}After"), 32)
        first, last = number(before), number(after)
        change = f"{last / first - 1:+.1%}" if first and last is not None else ""
        if before or after:
            yield Score(unit, before, after, change.replace("-", "\N{MINUS SIGN}"))


def _results(job: Object, results: Object) -> dict[str, Place]:
    found = {
        "Report": file(job, text(results.get("report"), 256)),
        "Exported model": folder(job, text(results.get("exportedModel"), 256)),
        "Published model": published(job, text(results.get("publishedModel"), 1024)),
    }
    return {name: place for name, place in found.items() if place.path}


def _preview(preview: Object) -> Preview | None:
    if not preview:
        return None
    seconds = number(preview.get("estimatedSeconds"))
    figures = {
        "Accepted answers": _share(preview.get("acceptedShare")),
        "Teacher, tokens/s of a shard": text(preview.get("teacherTokensPerSecond"), 32),
        **{f"Training {name}, tokens/s": v for name, v in texts(preview.get("trainingTokensPerSecond")).items()},
        "Estimated time of the rest": f"{seconds / _SECONDS_OF_HOUR:.1f} h" if seconds is not None else "",
        "Estimated chip-hours of the rest": text(preview.get("estimatedChipHours"), 32),
        **{f"Memory of {name}": f"{gib} GiB" for name, gib in texts(preview.get("memoryGiB")).items()},
        **{f"Device memory of {name}": f"{gib} GiB" for name, gib in texts(preview.get("deviceMemoryGiB")).items()},
    }
    judged = {True: "as expected", False: "NOT as expected"}
    facts = [
        (
            text(fact.get("stage"), 63),
            text(fact.get("name"), 32),
            text(fact.get("value"), 128),
            judged.get(fact["asExpected"], "") if isinstance(fact.get("asExpected"), bool) else "",
        )
        for fact in members(preview.get("facts"))
    ]
    return Preview({name: value for name, value in figures.items() if value}, facts)


def _share(value: object) -> str:
    share = number(value)
    return f"{share:.0%}" if share is not None else ""
