"""Runs as ``compare`` finds them: objects with the status of a finished small distillation, and facts of reports."""

import json
import math
from pathlib import Path
from typing import Any

from distillation_api.contract import FACTS_NAME, ReportFacts
from distillation_api.resource import API_VERSION, KIND, DistillationJob

Object = dict[str, Any]


def spec(learning_rate: float = 1e-4, **members: Any) -> Object:
    """As a user writes it: defaults are left out."""
    return {
        "teacher": {"source": {"path": "models/smollm2-135m-instruct"}},
        "student": {"source": {"path": "models/smollm2-6-layers"}},
        "dataset": {"source": {"path": "data/prompts.jsonl"}, "messagesColumn": "messages", "limit": 200},
        "storage": {"persistentVolumeClaim": {"claimName": "storage"}},
        "training": {
            "stages": [
                {"name": "teacher-data", "steps": 60, "learningRate": learning_rate},
                {"name": "original-data", "steps": 20, "data": "OriginalDataset"},
            ]
        },
        **members,
    }


def stage(name: str, start: str, end: str | None, **members: Any) -> Object:
    """Of a job on one morning; minutes and seconds."""
    ended = {"completionTime": f"2026-11-20T08:{end}Z"} if end else {}
    state = "Complete" if end else "Running"
    return {"name": name, "state": state, "startTime": f"2026-11-20T08:{start}Z", **ended, **members}


def job(name: str = "first", *, after: float = 3.25, uid: str | None = None, **members: Any) -> Object:
    """A Complete job, whose scores follow from the cross-entropy after."""
    metrics = {
        "crossEntropyBefore": "5.5",
        "crossEntropyAfter": str(after),
        "crossEntropyDrop": f"{1 - after / 5.5:.6f}",
        "klBefore": "4.1",
        "klAfter": f"{after - 1.2:.3f}",
        "top1AgreementAfter": "0.41",
        "endsByItselfAfter": "0.75",
        "perplexityAfter": f"{math.exp(after):.3f}",
    }
    evaluated = f"distillation/evaluate/{name[:1] * 16}"
    status = {
        "phase": "Complete",
        "startTime": "2026-11-20T08:00:00Z",
        "completionTime": "2026-11-20T08:14:30Z",
        "chipHours": "1.5",
        "loss": "3.6",
        "conditions": [condition("Complete", True), condition("Failed", False)],
        "stages": [
            stage("generate", "01:00", "04:00", counts={"completionTokens": 38_412}, chipSeconds=2700),
            stage("pack-teacher-data", "04:00", "04:30", counts={"tokens": 122_880, "trainedTokens": 61_000}),
            stage(
                "train-teacher-data",
                "04:30",
                "09:30",
                metrics={"firstLoss": "6.1", "loss": "3.4"},
                outputs={"history": f"distillation/train-teacher-data/{name[:1] * 16}/run/history.jsonl"},
                chipSeconds=2700,
            ),
            stage("train-original-data", "09:30", "12:00", metrics={"firstLoss": "3.9", "loss": "3.6"}),
            stage("evaluate", "12:30", "14:30", metrics=metrics, outputs={"report": f"{evaluated}/report.html"}),
        ],
        "results": {
            "crossEntropyBefore": "5.5",
            "crossEntropyAfter": str(after),
            "report": f"{evaluated}/report.html",
        },
        **members.pop("status", {}),
    }
    whole = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": "ml", "uid": uid or f"uid-{name}", "generation": 1},
        "spec": members.pop("spec", spec()),
        "status": status,
        **members,
    }
    DistillationJob.parse(whole)
    return whole


def condition(kind: str, holds: bool, reason: str = "StagesFinished", message: str = "") -> Object:
    """As the operator writes it."""
    return {
        "type": kind,
        "status": str(holds),
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": "2026-11-20T08:14:30Z",
    }


def facts(after: float = 3.25, *, steps: int = 60, **members: Any) -> Object:
    """What evaluate writes of such a run."""
    curve = {
        "steps": list(range(1, steps + 1)),
        "loss": [round(after + 6 * math.exp(-step / 12) + 0.15 * math.sin(step * 1.7), 4) for step in range(steps)],
    }
    told = {
        "job": {"namespace": "ml", "name": "reported"},
        "date": "2026-11-20T08:14:00Z",
        "spec": spec(),
        "scores": [
            {"name": "before", "crossEntropy": 5.5, "perplexity": 244.7, "kl": 4.1, "top1Agreement": 0.2},
            {"name": "teacher-data", "crossEntropy": after - 0.1, "kl": after - 1.3, "top1Agreement": 0.42},
            {"name": "after", "crossEntropy": after, "kl": after - 1.2, "top1Agreement": 0.41},
        ],
        "teacher": {"name": "teacher", "crossEntropy": 1.1},
        "rows": {"scored": 24, "scoredTokens": 900, "teacherTokens": 900},
        "answers": [{"name": "teacher", "answers": 8, "endsByItself": 1.0, "medianTokens": 40.0}],
        "stages": [
            {"name": "generate", "seconds": 170.0, "chipHours": 0.7, "counts": {"completionTokens": 38_412}},
            {
                "name": "train-teacher-data",
                "seconds": 290.0,
                "metrics": {"loss": 3.4},
                "tokens": 122_880,
                "curve": curve,
            },
        ],
        **members,
    }
    ReportFacts.model_validate(told)
    return told


def write_json(path: Path, content: Any) -> Path:
    """A file in a folder that may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_facts(folder: Path, content: Object | None = None) -> Path:
    """A report's folder."""
    write_json(folder / FACTS_NAME, content if content is not None else facts())
    return folder


def rows(text: str) -> dict[str, list[str]]:
    """The cells of a table in a pipe by the first one; two spaces or more are between columns."""
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]
    return {first: rest for first, *rest in filter(None, cells)}
