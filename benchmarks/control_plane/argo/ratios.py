"""The operator's figures as a part of Argo's."""

from collections.abc import Mapping
from typing import Any

_OF_A_JOB: dict[str, tuple[str, ...]] = {
    "handOffP50": ("handOff", "p50"),
    "handOffP99": ("handOff", "p99"),
    "handOffToPodP50": ("handOffToPod", "p50"),
    "handOffToPodP99": ("handOffToPod", "p99"),
    "createdToFirstChildP99": ("createdToFirstChild", "p99"),
    "controllerCpuPerJob": ("cpuMsPerJob", "controller"),
    "apiServerCpuPerJob": ("cpuMsPerJob", "kube-apiserver"),
    "writesPerJob": ("writesPerJob", "all"),
    "clusterWritesPerJob": ("clusterWritesPerJob", "all"),
}
_OF_ALL_JOBS: dict[str, tuple[str, ...]] = {
    "memoryAllFinished": ("memory", "allFinished", "residentMB"),
    "memoryPer1000Jobs": ("memory", "per1000JobsMB"),
    "coldStartSeconds": ("coldStart", "seconds"),
    "coldStartCpu": ("coldStart", "cpuSeconds"),
    "coldStartMemory": ("coldStart", "residentMB"),
}


def ratios(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """For each other contestant the operator's figures divided by its own; empty without the operator.

    A figure that isn't above zero on both sides (memory that shrank, for example) has no ratio; nor has one of all jobs
    where these were not as many.
    """
    if "operator" not in figures:
        return {}
    ours = figures["operator"]
    return {name: _divided(ours, other) for name, other in figures.items() if name != "operator"}


def _divided(ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, float]:
    compared = _OF_A_JOB | _OF_ALL_JOBS if ours["jobs"] == other["jobs"] else _OF_A_JOB
    pairs = {name: (_at(ours, path), _at(other, path)) for name, path in compared.items()}
    return {name: round(own / other, 3) for name, (own, other) in pairs.items() if own > 0 and other > 0}


def _at(figures: Any, path: tuple[str, ...]) -> float:
    for member in path:
        figures = figures[member]
    return float(figures)
