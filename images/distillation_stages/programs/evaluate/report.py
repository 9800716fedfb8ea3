"""The report: one HTML file that holds all it shows, written from what the stages' markers say."""

import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillation_stages.data.conversations import Turn
from distillation_stages.data.stage_facts import StageFacts, number
from distillation_stages.programs.evaluate.answers import GRAM, Comparison
from distillation_stages.programs.evaluate.plots import Line, bars, lines

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
class Report:
    """What the page shows."""

    spec: str
    """JSON."""
    stages: Sequence[StageFacts]
    scores: Sequence[Mapping[str, str | float]]
    """As scores.json has them: the first is the student before, the last the one after."""
    no_kl_because: str | None
    samples: Sequence[Sample]
    answers: Comparison
    verdict: str | None
    """Why the gate let nothing through; None when it did."""


def render_report(report: Report) -> str:
    """The page."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": number, "duration": duration, "share": "{:.0%}".format}
    template = environment.from_string(TEMPLATE.read_text())
    spec = json.loads(report.spec) if report.spec else {}
    return template.render(
        report=report,
        title=_title(spec),
        spec=json.dumps(spec, indent=2, ensure_ascii=False),
        gram=GRAM,
        plots=[Markup(plot) for plot in plots(report)],
        versions=sorted({(name, value) for stage in report.stages for name, value in stage.versions.items()}),
        chip_hours=sum(stage.chip_hours for stage in report.stages),
        seconds=sum(stage.seconds for stage in report.stages),
    )


def plots(report: Report) -> Iterable[str]:
    """Bars of each score before, between and after; of all models' answers; then each training stage's curves."""
    shown = {
        "crossEntropy": ("Cross-entropy of the teacher's held-out answers", "nats per token"),
        "kl": ("KL(teacher || student), held out", "nats per token"),
        "top1Agreement": ("Top-1 agreement with the teacher, held out", "share of tokens"),
    }
    for name, (title, unit) in shown.items():
        heights = {str(score["model"]): float(score[name]) for score in report.scores if name in score}
        if heights:
            yield bars(title, unit, heights)
    figures = report.answers.figures
    if figures:
        ends = {name: one.ends_by_itself for name, one in figures.items()}
        repeated = {name: one.repetition for name, one in figures.items()}
        yield bars("Answers that end by themselves, held out", "share of answers", ends, highest=1)
        yield bars(f"Repeated {GRAM}-grams within an answer, held out", "share, mean of answers", repeated, highest=1)
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
