"""The operator next to Argo Workflows, where a run has measured both."""

from collections.abc import Mapping
from typing import Any

from benchmarks.control_plane.goals import at
from benchmarks.control_plane.tables import number, ratio, table

OPERATOR = "operator"
MEASURES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("hand-off, p50, s", ("handOff", "p50")),
    ("hand-off, p99, s", ("handOff", "p99")),
    ("hand-off up to the pod, p50, s", ("handOffToPod", "p50")),
    ("hand-off up to the pod, p99, s", ("handOffToPod", "p99")),
    ("created to first child, p99, s", ("createdToFirstChild", "p99")),
    ("controller's CPU per job, ms", ("cpuMsPerJob", "controller")),
    ("API server's CPU per job, ms", ("cpuMsPerJob", "kube-apiserver")),
    ("controller's writes per job", ("writesPerJob", "all")),
    ("the cluster's writes per job", ("clusterWritesPerJob", "all")),
    ("memory, all finished, MB", ("memory", "allFinished", "residentMB")),
    ("memory per 1,000 jobs, MB", ("memory", "per1000JobsMB")),
    ("cold start, s", ("coldStart", "seconds")),
    ("cold start, CPU, s", ("coldStart", "cpuSeconds")),
    ("cold start, memory, MB", ("coldStart", "residentMB")),
)


def argo_section(measured: Mapping[str, Any] | None) -> list[str]:
    """The section of the page, from what ``benchmarks.control_plane.argo`` has written; empty without it."""
    if not measured:
        return []
    contestants = measured["contestants"]
    own = contestants.get(OPERATOR, {})
    others = [name for name in contestants if name != OPERATOR]
    lines = []
    for measure, path in MEASURES:
        own_figure, other_figures = at(own, path), [at(contestants[name], path) for name in others]
        if own_figure is not None or any(figure is not None for figure in other_figures):
            pairs = [cell for figure in other_figures for cell in (number(figure), ratio(own_figure, figure))]
            lines.append([measure, number(own_figure), *pairs])
    headings = [heading for name in others for heading in (name, "ratio")]
    return [
        "## Next to Argo Workflows",
        "",
        f"Argo Workflows {measured['argoWorkflows']}: the same graph of {measured['graph']['pods']} pods, on one API "
        "server, in one run, in turn. The ratio is the operator's figure divided by Argo's.",
        "",
        *table(("measure", "operator", *headings), lines),
    ]
