"""The model card: where an exported student comes from, as the README.md that model repositories show."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from distillation_api.contract import Lineage, Source, StageResult
from distillation_stages.data.licences import LICENSE
from distillation_stages.data.stage_facts import StageFacts, number
from distillation_stages.runtime.storage import Storage

CARD_NAME = "README.md"
_MARKS = re.compile(r"[\\`*\[\]|~]|(?<!\w)_|_(?!\w)")
"""What Markdown may take for a mark of its own; an underscore inside a word is none."""

_READERS = ("fetch-student", "fetch-teacher", "prepare-dataset")
"""The stages that have read the sources."""

_METRICS = {
    "crossEntropy": "cross-entropy of the teacher's answers, nats per token",
    "perplexity": "perplexity of the teacher's answers",
    "kl": "KL(teacher || student), nats per token",
    "top1Agreement": "top-1 agreement with the teacher",
}


def model_card(lineage: Lineage, storage: Storage, evaluated: StageResult | None = None) -> str:
    """The card, with the held-out scores once there are some. Says the same as long as the markers do."""
    stages = [StageFacts.read(stage, storage) for stage in lineage.stages]
    sections = [
        f"---\n{front_matter(lineage, evaluated)}\n---",
        f"# {plain(named(lineage.student))}, taught by {plain(named(lineage.teacher))}",
        f"The student was distilled with MaxText by distillation-operator. {licences(stages)}",
        "## Where it comes from",
        _table(["what", "source"], _sources(lineage)),
        "## How it was made",
        _table(
            ["stage", "counts", "measured"],
            [[stage.name, _told(stage.counts), _told(stage.metrics)] for stage in stages],
        ),
    ]
    if evaluated is not None:
        sections += ["## Scores on held-out rows", _table(["score", "before", "after"], _scores(evaluated.metrics))]
    versions = sorted({(name, value) for stage in stages for name, value in stage.versions.items() if name != LICENSE})
    sections += ["## Versions", _table(["of", "version"], [list(pair) for pair in versions])]
    return "\n\n".join(sections) + "\n"


def licences(stages: Sequence[StageFacts]) -> str:
    """Whose licences apply, with the names of those that are known."""
    known = {stage.name: f" ({plain(stage.versions[LICENSE])})" for stage in stages if LICENSE in stage.versions}
    student, teacher, data = (known.get(stage, "") for stage in _READERS)
    return f"The licences of the student{student}, the teacher{teacher} and the data{data} apply."


def front_matter(lineage: Lineage, evaluated: StageResult | None) -> str:
    """What the Hugging Face Hub reads, as YAML. Only sources on the Hub have names that it knows."""
    from huggingface_hub import EvalResult, ModelCardData

    hub = {role: getattr(lineage, role).hugging_face for role in ("student", "teacher", "dataset")}
    results = None
    if evaluated is not None:
        results = [
            EvalResult(
                task_type="text-generation",
                dataset_type=hub["dataset"].repo if hub["dataset"] else "held-out",
                dataset_name=f"held-out rows of {named(lineage.dataset)}",
                metric_type=name,
                metric_value=evaluated.metrics[f"{name}After"],
            )
            for name in _METRICS
            if f"{name}After" in evaluated.metrics
        ]
    data = ModelCardData(
        base_model=hub["student"].repo if hub["student"] else None,
        datasets=[hub["dataset"].repo] if hub["dataset"] else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["distillation", "maxtext"],
        model_name=f"{named(lineage.student)}, distilled" if results else None,
        eval_results=results,
    )
    return str(data.to_yaml())


def named(source: Source) -> str:
    """A source in a word."""
    hub = source.hugging_face
    return str((hub.repo if hub else None) or source.gcs_uri or source.path)


def _sources(lineage: Lineage) -> list[list[str]]:
    rows = []
    for role in ("student", "teacher", "dataset"):
        source: Source = getattr(lineage, role)
        hub = source.hugging_face
        chosen = hub or source
        config = f", config {chosen.config}" if chosen.config else ""
        split = f", split {chosen.split}" if chosen.split else ""
        rows.append([role, f"{named(source)}{f' at {hub.revision}' if hub else ''}{config}{split}"])
    return rows


def _scores(metrics: Mapping[str, float]) -> list[list[str]]:
    return [
        [label, number(metrics[f"{name}Before"]), number(metrics[f"{name}After"])]
        for name, label in _METRICS.items()
        if f"{name}After" in metrics
    ]


def _told(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in values.items())


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str) -> str:
    """Foreign text, as a revision or a count's name, that Markdown shows as it is: it ends no cell, and no link, image
    or HTML begins.
    """
    return _MARKS.sub(r"\\\g<0>", html.escape(" ".join(text.split()), quote=False))
