"""A stage as reports and model cards tell of it, read from its markers."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillation_api.contract import ReportedStage, StageResult, StartUp
from distillation_stages.runtime.reporting import say
from distillation_stages.runtime.start_up_record import read_start_up
from distillation_stages.runtime.storage import MarkerRefused, Storage


@dataclass(frozen=True)
class StageFacts:
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
    start: StartUp | None = None
    """Of the run that finished it, up to its first token or step; of the slowest shard."""
    idle_chip_hours: float = 0.0
    """Of its chip-hours those of its starts."""
    chips: int = 0
    """Of all its pods."""

    @staticmethod
    def read(stage: ReportedStage, storage: Storage) -> "StageFacts":
        """From the storage; what isn't there, or isn't believed, is left out."""
        markers = [marker for output in stage.outputs if (marker := _believed(output, storage)) is not None]
        counts: Counter[str] = Counter()
        for marker in markers:
            counts.update(marker.counts)
        chips = stage.chips / len(stage.outputs)
        starts = [start for output in stage.outputs if (start := read_start_up(storage.at(output))) is not None]
        history = markers[0].outputs.get("history") if markers else None
        return StageFacts(
            name=stage.name,
            chips=stage.chips,
            seconds=max((marker.seconds for marker in markers), default=0.0),
            chip_hours=chips * sum(marker.seconds for marker in markers) / 3600,
            start=max(starts, key=lambda start: start.seconds, default=None),
            idle_chip_hours=chips * sum(start.seconds for start in starts) / 3600,
            counts=dict(counts),
            metrics=markers[0].metrics if len(markers) == 1 else {},
            versions=markers[0].versions if markers else {},
            history=read_history(storage.at(history)) if history else (),
        )


def _believed(output: str, storage: Storage) -> StageResult | None:
    try:
        return storage.read_marker(output)
    except MarkerRefused as refused:
        say(f"left out of the report: {refused.message}")
        return None


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


def number(value: Any) -> str:
    """Digits enough to read."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
