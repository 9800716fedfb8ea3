"""The report: one HTML file that holds all it shows, written from what the stages' markers say."""

import html
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillation_api.contract import ReportedStage
from distillation_stages.data.conversations import Turn
from distillation_stages.programs.evaluate.plots import Line, bars, lines
from distillation_stages.runtime.storage import Storage

TEMPLATE = Path(__file__).with_name("report.html.jinja")

POINTS = 2_000
"""Of a curve: a page with more loads slowly and shows no more."""


@dataclass(frozen=True)
class Sample:
    """A held-out prompt and three answers."""

    row: int
    prompt: list[Turn]
    teacher: str
    before: str
    after: str


@dataclass(frozen=True)
class StageTold:
    """A stage by its markers: several when it has shards."""

    name: str
    seconds: float = 0.0
    """Of the run that finished it; of the slowest shard."""
    chip_hours: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    """One mapping per training step."""

    @staticmethod
    def read(stage: ReportedStage, storage: Storage) -> "StageTold":
        """From the storage; what isn't there is left out."""
        markers = [marker for output in stage.outputs if (marker := storage.read_marker(output)) is not None]
        counts: Counter[str] = Counter()
        for marker in markers:
            counts.update(marker.counts)
        chips = stage.chips / len(stage.outputs)
        history = markers[0].outputs.get("history") if markers else None
        return StageTold(
            name=stage.name,
            seconds=max((marker.seconds for marker in markers), default=0.0),
            chip_hours=chips * sum(marker.seconds for marker in markers) / 3600,
            counts=dict(counts),
            metrics=markers[0].metrics if len(markers) == 1 else {},
            versions=markers[0].versions if markers else {},
            history=read_history(storage.at(history)) if history else (),
        )


@dataclass(frozen=True)
class Report:
    """What the page shows."""

    spec: str
    """JSON."""
    stages: Sequence[StageTold]
    scores: Sequence[Mapping[str, str | float]]
    """As scores.json has them: the first is the student before, the last the one after."""
    no_kl_because: str | None
    samples: Sequence[Sample]
    verdict: str | None
    """Why the gate let nothing through; None when it did."""


def read_history(path: Path) -> list[dict[str, float]]:
    """The steps of a history file; broken lines are left out."""
    steps = []
    try:
        written = path.read_text().splitlines()
    except OSError:
        return []
    for line in written:
        try:
            step = json.loads(line)
        except ValueError:
            continue
        if isinstance(step, dict) and "step" in step:
            steps.append(step)
    return steps


def render_report(report: Report) -> str:
    """The page."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": number, "duration": duration}
    template = environment.from_string(TEMPLATE.read_text())
    spec = json.loads(report.spec) if report.spec else {}
    return template.render(
        report=report,
        title=_title(spec),
        spec=json.dumps(spec, indent=2, ensure_ascii=False),
        plots=[Markup(plot) for plot in plots(report)],
        versions=sorted({(name, value) for stage in report.stages for name, value in stage.versions.items()}),
        chip_hours=sum(stage.chip_hours for stage in report.stages),
        seconds=sum(stage.seconds for stage in report.stages),
    )


def plots(report: Report) -> Iterable[str]:
    """Bars of each score before, between and after; then each training stage's curves."""
    shown = {
        "crossEntropy": ("Cross-entropy of the teacher's held-out answers", "nats per token"),
        "kl": ("KL(teacher || student), held out", "nats per token"),
        "top1Agreement": ("Top-1 agreement with the teacher, held out", "share of tokens"),
    }
    for name, (title, unit) in shown.items():
        heights = {str(score["model"]): float(score[name]) for score in report.scores if name in score}
        if heights:
            yield bars(title, unit, heights)
    for stage in report.stages:
        curves = {"loss": curve(stage.history, "loss"), "KL to the teacher": curve(stage.history, "klToTeacher")}
        drawn = {name: line for name, line in curves.items() if line[0]}
        if drawn:
            yield lines(f"{html.escape(stage.name)}: training", "step", "nats per token", drawn)


def curve(history: Sequence[Mapping[str, float]], name: str) -> Line:
    """At most ``POINTS`` steps and their values, evenly spread, the last always among them."""
    told = [(step["step"], step[name]) for step in history if name in step and math.isfinite(step[name])]
    stride = max(1, math.ceil(len(told) / POINTS))
    kept = told[::-1][::stride][::-1]
    return [step for step, _ in kept], [value for _, value in kept]


def number(value: Any) -> str:
    """Digits enough to read."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _title(spec: Mapping[str, Any]) -> str:
    """Teacher and student, by where they come from."""
    names = [_source_name(spec.get(role, {}).get("source", {})) for role in ("teacher", "student")]
    return f"{names[0]} taught {names[1]}" if all(names) else "Distillation report"


def _source_name(source: Mapping[str, Any]) -> str:
    hub, gcs = source.get("huggingFace", {}), source.get("gcs", {})
    return str(hub.get("repo") or gcs.get("uri") or source.get("path") or "")
