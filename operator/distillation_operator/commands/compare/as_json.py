"""The comparison for programs."""

import json
import math
from typing import Any

from distillation_operator.commands.compare.comparison import Comparison
from distillation_operator.commands.compare.differences import UNKNOWN
from distillation_operator.commands.compare.run import Curve, Run


def as_json(comparison: Comparison) -> str:
    """Runs in the order of the table, each with its figures by key and its curves; then the differing fields with one
    value per run, of which null means that it isn't set, and ``known`` whether the run tells it; then what a reader of
    the scores has to know, as sentences. Numbers that aren't finite are null.
    """
    told = {
        "runs": [_run(comparison, number, run) for number, run in enumerate(comparison.runs)],
        "differences": [
            {
                "path": difference.path,
                "values": [None if value is UNKNOWN else value for value in difference.values],
                "known": [value is not UNKNOWN for value in difference.values],
            }
            for difference in comparison.differences
        ],
        "scoresAreComparable": comparison.scores_are_comparable,
        "remarks": comparison.remarks,
    }
    return json.dumps(_finite(told), indent=2, allow_nan=False, default=str)


def _run(comparison: Comparison, number: int, run: Run) -> dict[str, Any]:
    spec = comparison.specs[number]
    return {
        "label": comparison.labels[number],
        "name": run.name,
        "namespace": run.namespace,
        "uid": run.uid or None,
        "origin": run.origin,
        "phase": run.phase,
        "notes": [note for of_run, note in comparison.notes if of_run == number],
        "figures": {figure.key: value for figure in comparison.figures if (value := figure.values[number]) is not None},
        "hasEnded": run.has_ended,
        "scores": run.scores,
        "stages": [
            {
                "name": stage.name,
                "state": stage.state,
                "seconds": stage.seconds,
                "chipHours": stage.chip_hours,
                "workSeconds": stage.work_seconds,
                "workChipHours": stage.work_chip_hours,
                "reused": stage.reused,
            }
            for stage in run.stages
        ],
        "curves": {
            stage: {name: _curve(points) for name, points in of_stage.items()} for stage, of_stage in run.curves.items()
        },
        "spec": spec.whole if spec is not None else None,
    }


def _curve(points: Curve) -> dict[str, list[float]]:
    return {"steps": [step for step, _ in points], "values": [value for _, value in points]}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _finite(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
