"""A run from a DistillationJob with its status, as ``kubectl get -o json`` prints it and ``local`` writes it.

The status may be of an older or newer operator, or edited by hand: what isn't as expected is passed over.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from distillation_operator.commands.compare.run import AFTER, BEFORE, TEACHER, Run, StageRow
from distillation_operator.pipeline.names import is_of_preview
from distillation_operator.pipeline.status.chip_hours import SECONDS_PER_HOUR
from distillation_operator.pipeline.status.times import parse_time

TRAINING, PACKING, GENERATION, EVALUATION = "train-", "pack-", "generate", "evaluate"
"""What the names of stages are, or begin with."""

_METRICS = ("crossEntropy", "kl", "top1Agreement", "endsByItself", "repetition", "answerTokens")
_MODELS = {"Before": BEFORE, "After": AFTER, "Teacher": TEACHER}

Object = Mapping[str, Any]


def run_of_object(job: Object, origin: str) -> Run:
    """The run; never raises for what its status holds."""
    metadata, spec, status = _object(job, "metadata"), job.get("spec"), _object(job, "status")
    stages = [stage for stage in _objects(status, "stages") if not is_of_preview(str(stage.get("name", "")))]
    by_name = {str(stage.get("name")): stage for stage in stages}
    scores, drop = _scores(_object(status, "results"), _object(by_name.get(EVALUATION, {}), "metrics"))
    phase, trouble = _end(status)
    seconds, final = _seconds(status, stages)
    return Run(
        name=_text(metadata, "name") or "(without a name)",
        namespace=_text(metadata, "namespace"),
        uid=_text(metadata, "uid") or "",
        origin=origin,
        phase=phase,
        trouble=trouble,
        spec=spec if isinstance(spec, Mapping) else None,
        scores=scores,
        drop=drop,
        scored_tokens=_count(_object(by_name.get(EVALUATION, {}), "counts"), "tokens"),
        teacher_tokens=_count(_object(by_name.get(EVALUATION, {}), "counts"), "klTokens"),
        losses=_losses(status, stages),
        generated_tokens=_count(_object(by_name.get(GENERATION, {}), "counts"), "completionTokens"),
        trained_tokens={
            f"{TRAINING}{name.removeprefix(PACKING)}": tokens
            for name, stage in by_name.items()
            if name.startswith(PACKING) and (tokens := _count(_object(stage, "counts"), "tokens")) is not None
        },
        seconds=seconds,
        seconds_are_final=final,
        chip_hours=_number(status.get("chipHours")),
        stages=[_stage_row(stage) for stage in stages],
        notes=_notes(status),
    )


def history_files(job: Object) -> dict[str, str]:
    """Where each training stage's record of its steps lies in the storage, by stage."""
    found = {}
    for stage in _objects(_object(job, "status"), "stages"):
        name, path = _text(stage, "name"), _text(_object(stage, "outputs"), "history")
        if name and path and name.startswith(TRAINING):
            found[name] = path
    return found


def report_file(job: Object) -> str | None:
    """Where the report lies in the storage; None without one."""
    return _text(_object(_object(job, "status"), "results"), "report") or _text(
        _object(_evaluation(job), "outputs"), "report"
    )


def evaluation_folder(job: Object) -> str | None:
    """The folder of the evaluation in the storage: one that failed at its gate names no outputs."""
    return _text(_evaluation(job), "directory")


def _evaluation(job: Object) -> Object:
    stages = _objects(_object(job, "status"), "stages")
    return next((stage for stage in stages if stage.get("name") == EVALUATION), {})


def is_over(job: Object) -> bool:
    """Whether it is Complete or Failed."""
    return _end(_object(job, "status"))[0] in ("Complete", "Failed")


def _end(status: Object) -> tuple[str | None, str]:
    """The phase, and of a failed run why."""
    phase, trouble = _text(status, "phase"), ""
    for condition in _objects(status, "conditions"):
        kind = condition.get("type")
        if kind in ("Complete", "Failed") and condition.get("status") == "True":
            phase = str(kind)
            if kind == "Failed":
                trouble = ": ".join(filter(None, (_text(condition, "reason"), _text(condition, "message"))))
    return phase, trouble


def _notes(status: Object) -> list[str]:
    if not status:
        return ["it has no status: no operator has seen it yet"]
    return []


def _scores(results: Object, metrics: Object) -> tuple[dict[str, dict[str, float]], float | None]:
    """By metric and model; the evaluation's own metrics are the more exact ones."""
    found: dict[str, dict[str, float]] = {}
    for source in (results, metrics):
        for metric in _METRICS:
            for suffix, model in _MODELS.items():
                if (value := _number(source.get(f"{metric}{suffix}"))) is not None:
                    found.setdefault(metric, {})[model] = value
    return found, _number(metrics.get("crossEntropyDrop"))


def _losses(status: Object, stages: list[Object]) -> dict[str, float]:
    found = {}
    for stage in stages:
        name = str(stage.get("name", ""))
        loss = _number(_object(stage, "metrics").get("loss"))
        if name.startswith(TRAINING) and loss is not None:
            found[name] = loss
    # An operator that tells no metrics of its stages.
    overall = _number(status.get("loss"))
    return found or ({"training": overall} if overall is not None else {})


def _seconds(status: Object, stages: list[Object]) -> tuple[float | None, bool]:
    """From the start to the end, or to the last thing that is told of; and whether that is the end."""
    start, end = _time(status.get("startTime")), _time(status.get("completionTime"))
    if start is None:
        return None, True
    if end is not None:
        return max(0.0, end - start), True
    told = [
        status.get("accountedTime"),
        *(stage.get(key) for stage in stages for key in ("startTime", "completionTime")),
    ]
    last = max((time for text in told if (time := _time(text)) is not None), default=None)
    return (max(0.0, last - start), False) if last is not None else (None, True)


def _stage_row(stage: Object) -> StageRow:
    start, end = _time(stage.get("startTime")), _time(stage.get("completionTime"))
    chip_seconds = _number(stage.get("chipSeconds"))
    return StageRow(
        name=str(stage.get("name", "")),
        state=str(stage.get("state", "")),
        seconds=max(0.0, end - start) if start is not None and end is not None else None,
        chip_hours=chip_seconds / SECONDS_PER_HOUR if chip_seconds is not None else None,
        reused=stage.get("reused") is True,
    )


def _object(parent: Object, name: str) -> Object:
    member = parent.get(name)
    return member if isinstance(member, Mapping) else {}


def _objects(parent: Object, name: str) -> Iterator[Object]:
    members = parent.get(name)
    return (item for item in members if isinstance(item, Mapping)) if isinstance(members, list) else iter(())


def _text(parent: Object, name: str) -> str | None:
    member = parent.get(name)
    return str(member) if isinstance(member, (str, int, float)) and not isinstance(member, bool) else None


def _number(value: Any) -> float | None:
    """A number, which a status has as a string; None for what is none. NaN and infinities are numbers here."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _count(parent: Object, name: str) -> int | None:
    value = _number(parent.get(name))
    return int(value) if value is not None and math.isfinite(value) else None


def _time(text: Any) -> float | None:
    """Seconds since 1970."""
    try:
        return parse_time(text).timestamp() if isinstance(text, str) else None
    except (ValueError, TypeError, OverflowError):
        return None
