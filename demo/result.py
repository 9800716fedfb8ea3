"""What came of a run, measured: read from the DistillationJob's status alone."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any


def result_of(job: dict[str, Any]) -> dict[str, Any]:
    """Phase, stages with their seconds, cross-entropies and the exported model of a DistillationJob."""
    status = job.get("status") or {}
    results = status.get("results") or {}
    return {
        "phase": status.get("phase"),
        "stages": [
            {"name": stage["name"], "seconds": _seconds(stage), "state": stage["state"]}
            for stage in status.get("stages") or []
        ],
        "crossEntropyBefore": _number(results.get("crossEntropyBefore")),
        "crossEntropyAfter": _number(results.get("crossEntropyAfter")),
        "klBefore": _number(results.get("klBefore")),
        "klAfter": _number(results.get("klAfter")),
        "report": results.get("report"),
        "exportedModel": results.get("exportedModel"),
        **_preview(status),
    }


def write_result(result: dict[str, Any], path: Path) -> None:
    """Write the result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


def summary_lines(result: dict[str, Any]) -> list[str]:
    """The last lines that the demo prints: each stage with its time, and the score."""
    lines = [f"{stage['name']:<22} {stage['state']:<10} {_duration(stage['seconds'])}" for stage in result["stages"]]
    before, after = result["crossEntropyBefore"], result["crossEntropyAfter"]
    if before and after:
        lines.append(f"held-out cross-entropy {before:.3f} -> {after:.3f} nats per token ({after / before - 1:+.0%})")
    if result["klBefore"] and result["klAfter"] is not None:
        lines.append(f"held-out KL to the teacher {result['klBefore']:.3f} -> {result['klAfter']:.3f} nats per token")
    preview = result.get("preview")
    if preview and preview["restSeconds"]:
        error = preview["estimatedSeconds"] / preview["restSeconds"] - 1
        lines.append(
            f"the preview took {preview['seconds']:.0f} s and estimated {preview['estimatedSeconds']} s for the rest, "
            f"which took {preview['restSeconds']:.0f} s ({error:+.0%})"
        )
    lines.append(f"exported model: {result['exportedModel']}")
    return lines


def _preview(status: dict[str, Any]) -> dict[str, Any]:
    """How long the preview took, what it has estimated, and how long the rest took; nothing without one."""
    found = status.get("preview") or {}
    stages = status.get("stages") or []
    previewed = [stage for stage in stages if stage["name"].startswith("preview-")]
    ends = [_time(stage.get("completionTime")) for stage in (*previewed, *stages)]
    if "estimatedSeconds" not in found or not previewed or None in ends:
        return {}
    known = [end for end in ends if end is not None]
    began = min(start for stage in previewed if (start := _time(stage.get("startTime"))) is not None)
    done = max(known[: len(previewed)])
    return {
        "preview": {
            "seconds": (done - began).total_seconds(),
            "estimatedSeconds": found["estimatedSeconds"],
            "restSeconds": (max(known) - done).total_seconds(),
            **{name: found[name] for name in ("acceptedShare", "teacherTokensPerSecond", "facts") if name in found},
        }
    }


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _seconds(stage: dict[str, Any]) -> float | None:
    if "startTime" not in stage or "completionTime" not in stage:
        return None
    return (
        datetime.fromisoformat(stage["completionTime"]) - datetime.fromisoformat(stage["startTime"])
    ).total_seconds()


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.0f} s"


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
