"""DistillationJobs as the API server has them, in the states that a dashboard shows."""

from typing import Any

from distillation_api.resource import DistillationJob
from distillation_operator.pipeline.graph import build_pipeline
from support.small_job import manifest

HOSTILE = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">\'"&amp;\u202eevil\x1b[31m'
"""What would run where a page doesn't escape, would break out of an attribute, or would paint a terminal."""

_DONE_AT = "2026-11-20T10:00:00Z"


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    """One condition."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": _DONE_AT,
    }


def job(name: str, status: dict[str, Any] | None = None, namespace: str = "ml", **spec: Any) -> dict[str, Any]:
    """A job with that status; None for one that no operator has looked at."""
    made = manifest(**spec)
    made["metadata"] = {"name": name, "namespace": namespace, "creationTimestamp": "2026-11-20T08:00:00Z"}
    return made if status is None else {**made, "status": status}


def stage_names(**spec: Any) -> list[str]:
    """The stages of such a job, in dataflow order."""
    return list(build_pipeline(DistillationJob.parse(manifest(**spec)).spec))


def running(percent: int = 43, loss: str = "1.92") -> dict[str, Any]:
    """The status of a job in its first training stage, on TPUs."""
    stages = _stages("train-one")
    stages["train-one"] |= {
        "startTime": "2026-11-20T09:00:00Z",
        "attempt": 1,
        "attempts": {"failures": 1, "disruptions": 0},
        "progress": {"done": percent * 10, "total": 1000, "unit": "steps", "rate": "2.5"},
        "metrics": {"loss": loss, "gradNorm": "0.4"},
        "chipSeconds": 36000,
        "chipSecondsIdle": {"podStart": 1800, "compile": 1800},
        "estimatedCompletionTime": "2026-11-20T11:00:00Z",
    }
    return {
        "phase": "Running",
        "method": "Mixed",
        "currentStage": "train-one",
        "progress": f"{percent}%",
        "loss": loss,
        "chipHours": "10.0",
        "startTime": "2026-11-20T08:00:10Z",
        "conditions": [condition("Accepted", "True", "SpecValid"), condition("Complete", "False", "Running")],
        "stages": list(stages.values()),
    }


def failed(message: str = "Only 12 rows are left, and 64 are needed.") -> dict[str, Any]:
    """The status of a job that failed by its data."""
    stages = _stages("prepare-dataset")
    told = {"reason": "TooFewRows", "message": message}
    stages["prepare-dataset"] |= {"state": "Failed", "attempts": {"failures": 1, "disruptions": 1}, **told}
    stages["generate"] |= {"reason": "JobFailed", "message": "Stage prepare-dataset has failed."}
    return {
        "phase": "Failed",
        "startTime": "2026-11-20T08:00:10Z",
        "completionTime": "2026-11-20T08:30:00Z",
        "conditions": [
            condition("Accepted", "True", "SpecValid"),
            condition("Failed", "True", "TooFewRows", message),
            condition("Stalled", "True", "TooFewRows", message),
        ],
        "stages": list(stages.values()),
        "lastFailures": [
            {
                "stage": "prepare-dataset",
                "attempt": 0,
                "class": "Permanent",
                "exitCode": 65,
                "node": "node-7",
                "time": "2026-11-20T08:29:00Z",
                **told,
            }
        ],
    }


def complete() -> dict[str, Any]:
    """The status of a job that is done."""
    stages = _stages(None)
    return {
        "phase": "Complete",
        "chipHours": "21.5",
        "loss": "1.21",
        "startTime": "2026-11-20T08:00:10Z",
        "completionTime": "2026-11-20T12:30:00Z",
        "conditions": [condition("Complete", "True", "StagesFinished", "All stages are complete.")],
        "stages": list(stages.values()),
        "results": {
            "crossEntropyBefore": "2.0",
            "crossEntropyAfter": "1.5",
            "klBefore": "0.9",
            "klAfter": "0.3",
            "exportedModel": "distillation/export/abc/model",
            "report": "distillation/evaluate/abc/report.html",
        },
    }


def _stages(at: str | None) -> dict[str, dict[str, Any]]:
    """All stages, those before ``at`` complete; all complete for None."""
    names = stage_names()
    here = len(names) if at is None else names.index(at)
    stages: dict[str, dict[str, Any]] = {}
    for place, name in enumerate(names):
        state = "Complete" if place < here else "Running" if place == here else "Waiting"
        stages[name] = {"name": name, "state": state}
        if state == "Complete":
            stages[name] |= {
                "startTime": "2026-11-20T08:10:00Z",
                "completionTime": "2026-11-20T08:20:00Z",
                "counts": {"rows": 1000},
                "outputs": {"folder": f"distillation/{name}/abc"},
            }
        elif state == "Waiting":
            stages[name] |= {"reason": "InputsMissing", "message": "It reads what other stages make."}
    return stages
