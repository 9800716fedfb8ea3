"""The report: one HTML file that holds all it shows, made of the facts and of some answers."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from distillation_api.contract import AnswerFigures, ReportFacts
from distillation_stages.programs.evaluate import formats
from distillation_stages.programs.evaluate.answers import GRAM
from distillation_stages.programs.evaluate.charts import Bar, bars
from distillation_stages.programs.evaluate.samples import Sample, shown
from distillation_stages.programs.evaluate.training_plots import Plot, training_plots
from distillation_stages.programs.evaluate.verdict import (
    best_before_the_end,
    best_of,
    verdict_of,
    way_to_teacher,
)

TEMPLATE = Path(__file__).with_name("report.html.jinja")
STYLE = Path(__file__).with_name("report.css")


@dataclass(frozen=True)
class Tile:
    """A number of the first screen."""

    name: str
    value: str
    note: str


def render_report(facts: ReportFacts, samples: Sequence[Sample]) -> str:
    """The page. All texts of models and datasets are escaped, and its policy lets nothing run or load."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    names = ("amount", "count", "date", "duration", "number", "percent", "score", "size", "words")
    environment.filters |= {name: getattr(formats, name) for name in names}
    environment.globals |= {"markup": Markup, "shown_name": shown_name}
    style = STYLE.read_text()
    return environment.from_string(TEMPLATE.read_text()).render(
        facts=facts,
        title=title(facts),
        taught=taught(facts),
        style=Markup(style),
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        verdict=verdict_of(facts),
        worse=best_before_the_end(facts),
        best=best_of(facts),
        tiles=list(tiles(facts)),
        part=part_compared(facts),
        main_plot=main_plot(facts),
        score_plots=list(score_plots(facts)),
        training_plots=training_plots(facts),
        samples=[shown(sample) for sample in samples],
        gram=GRAM,
        spec=json.dumps(facts.spec, indent=2, ensure_ascii=False),
    )


def title(facts: ReportFacts) -> str:
    """The job's name; without one what was taught to what."""
    if facts.job is not None:
        return f"{facts.job.namespace}/{facts.job.name}"
    return taught(facts) or "Distillation report"


def taught(facts: ReportFacts) -> str:
    """Teacher and student, by where they come from; empty where that isn't known."""
    sources = facts.sources
    if not (sources.teacher and sources.student):
        return ""
    return f"{sources.teacher} taught {sources.student}" + (f" on {sources.dataset}" if sources.dataset else "")


def tiles(facts: ReportFacts) -> Iterator[Tile]:
    """What a reader in a hurry asks next: how near, how big, how dear."""
    way = way_to_teacher(facts)
    if way is not None:
        yield Tile("Way to the teacher", formats.percent(way), "of the student's distance to it in cross-entropy")
    student, teacher = facts.student_size, facts.teacher_size
    if student.parameters:
        yield Tile(
            "Size",
            f"{formats.amount(student.parameters)} parameters",
            _share(student.parameters, teacher.parameters, formats.amount),
        )
    if student.bytes:
        yield Tile("Weights", formats.size(student.bytes), _share(student.bytes, teacher.bytes, formats.size))
    yield Tile("Time", formats.duration(facts.seconds), "of all stages, one after another")
    idle = sum(stage.idle_chip_hours or 0.0 for stage in facts.stages)
    waited = f"{formats.number(idle)} of them before first tokens and steps" if idle else "of all stages"
    yield Tile("Cost", *((f"{formats.number(facts.chip_hours)} chip-hours", waited) if facts.chip_hours else _NO_CHIPS))
    trained = sum(stage.tokens or 0 for stage in facts.stages if stage.is_training)
    if trained:
        yield Tile("Training data", f"{formats.amount(trained)} tokens", _rows_note(facts))


_NO_CHIPS = ("no chip-hours", "all stages ran on CPU")


def part_compared(facts: ReportFacts) -> str | None:
    """The tokens that KL, top-1 agreement and the teacher's own scores are of; None where these are all, or unknown."""
    rows = facts.rows
    if not rows.teacher_tokens or not rows.scored_tokens or rows.teacher_has_all:
        return None
    return f"the first {rows.teacher_tokens:,} of {rows.scored_tokens:,} tokens"


def main_plot(facts: ReportFacts) -> Plot:
    """The cross-entropy before and after each training, with the teacher's as the line to reach."""
    reach = facts.teacher.cross_entropy if facts.teacher is not None else None
    part = part_compared(facts)
    note = f"The teacher's on {part}." if reach is not None and part else ""
    return _scores_plot(facts, "cross_entropy", "Cross-entropy", "nats per token, lower is better", reach, note)


def score_plots(facts: ReportFacts) -> Iterator[Plot]:
    """The other scores, then what answers are like; those of which nothing is known are left out."""
    if any(score.kl is not None for score in facts.scores):
        part = part_compared(facts)
        note = f"On {part}." if part else ""
        yield _scores_plot(facts, "kl", "Distance to the teacher (KL)", "nats per token, lower is better", None, note)
        yield _scores_plot(
            facts, "top1_agreement", "Top-1 agreement", "share of tokens, higher is better", None, note, 1.0
        )
    if facts.answers:
        yield _answers_plot("Answers that end by themselves", "share of answers", facts.answers, "ends_by_itself")
        yield _answers_plot(f"Repeated {GRAM}-grams", "share, mean of answers", facts.answers, "repetition")


def shown_name(name: str) -> str:
    """A student of the facts as the page calls it; a training stage may have any name, the teacher's too."""
    return name if name in ("before", "after") else f"after {name}"


def _scores_plot(
    facts: ReportFacts,
    member: str,
    name: str,
    unit: str,
    reach: float | None,
    note: str = "",
    highest: float | None = None,
) -> Plot:
    text = formats.percent if highest == 1.0 else formats.score
    best = best_of(facts)
    rows = []
    for place, one in enumerate(facts.scores):
        value: float | None = getattr(one, member)
        kind = "base" if place == 0 else "best" if one is best else "model"
        rows.append(Bar(shown_name(one.name), value, text(value), kind))
    goal = Bar("teacher", reach, text(reach)) if reach is not None else None
    return Plot(name, unit, bars(f"{name}, {unit}", rows, goal, highest), note)


def _answers_plot(name: str, unit: str, answers: Sequence[AnswerFigures], member: str) -> Plot:
    rows: list[Bar] = []
    for place, one in enumerate(answers):
        value: float | None = getattr(one, member)
        is_teacher = place == 0 and one.name == "teacher"
        kind = "base" if is_teacher or one.name == "before" else "model"
        rows.append(Bar("teacher" if is_teacher else shown_name(one.name), value, formats.percent(value), kind))
    return Plot(name, unit, bars(f"{name}, {unit}", rows, highest=1.0), "")


def _share(part: float, whole: float | None, told: Callable[[float], str]) -> str:
    return f"{formats.percent(part / whole)} of the teacher's {told(whole)}" if whole else "of the student"


def _rows_note(facts: ReportFacts) -> str:
    """Of how many rows each training has learnt; those that are held out are none of them."""
    packs = [stage for stage in facts.stages if stage.name.startswith("pack-")]
    rows = [formats.count(stage.counts["rows"]) for stage in packs if stage.counts.get("rows")]
    if not rows:
        return "seen in training"
    return f"of {rows[0]} rows" if len(rows) == 1 else f"of {' and '.join(rows)} rows, one training after another"
