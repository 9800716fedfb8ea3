"""docs/performance.md from the committed run: ``python -m benchmarks.control_plane.page`` writes it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.control_plane.argo_table import argo_section
from benchmarks.control_plane.goals import Figures, Row, beyond_creations, loads, rows, same_load
from benchmarks.control_plane.tables import number, ratio, table

RESULTS = Path(__file__).with_name("results.json")
IDLE = 1.0
"""A greater load average before a run is that of other programs."""
PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"


def page(results: Figures) -> str:
    """The page of a run."""
    parts = [
        _introduction(results), _goals(results), _memory(results), _hand_offs(results), _cores(results),
        _profile(results), _calls(results), argo_section(results.get("argoWorkflows")), _check(results),
    ]  # fmt: skip
    return "\n".join("\n".join(part) + "\n" for part in parts if part)


def _introduction(results: Figures) -> list[str]:
    machine, parameters = results["machine"], results["parameters"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    changed = " with changes" if results["operator"].get("changed") else ""
    against = results.get("against")
    before = f", against {against['commit'][:12]}" if against else ""
    return [
        "# Performance",
        "",
        "What the operator costs a cluster of thousands of jobs. This page is made of one run of `make bench`, whose "
        "`build/bench/control-plane.json` was copied to `benchmarks/control_plane/results.json`; `make generate` "
        "writes it. An absolute time holds for its machine alone; the columns of ratios compare within the run.",
        "",
        f"- {results['date']}, commit {results['operator']['commit'][:12]}{changed}{before}; "
        f"{number(results['minutes'])} minutes",
        f"- {machine['processors']} processors ({machine['model']}), {number(machine['memoryGiB'])} GiB, shared by "
        "operator, benchmark and the whole control plane",
        _load_average(machine["load"]),
        f"- {versions}",
        f"- {parameters['jobs']:,} finished jobs in {parameters['namespaces']} namespaces, of "
        f"{number(results['operator']['figures']['generator']['objectBytes'] / 1000)} kB each; active jobs of 13 "
        "children and 15 pods",
        "",
        "API server, etcd, Job and JobSet controllers are real (the [testbed](../testbed/README.md)). No kubelet runs: "
        "the benchmark lets each pod run and end after a random time, by its status. The operator is looked at from "
        "outside: its process by the kernel's figures, its calls and the times of hand-offs by the API server's audit "
        "log.",
    ]


def _load_average(load: list[float]) -> str:
    seen = f"- load average before it began: {', '.join(map(str, load))}"
    if load[0] < IDLE:
        return seen
    return f"{seen}. **Other programs had the cores too: the times of this run, and their ratios, say little**"


def _goals(results: Figures) -> list[str]:
    lines = [[_measure(row), *_figures(row), _verdict(row)] for row in rows(results)]
    return [
        "## Goals",
        "",
        "The ratio to the commit before is this commit's figure divided by that one's. The empty handler is an "
        "operator of kopf's that watches the same jobs and does nothing: what is above 1 is the operator's own.",
        "",
        *table(("measure", "goal", "seen", "commit before", "ratio", "empty handler", "ratio", "reached"), lines),
    ]


def _measure(row: Row) -> str:
    return row.goal.measure


def _figures(row: Row) -> list[str]:
    unit = row.goal.unit
    return [
        f"{number(row.goal.limit)} {unit}",
        "not run" if row.figure is None else f"{number(row.figure)} {unit}",
        number(row.against),
        ratio(row.figure, row.against),
        number(row.handler),
        ratio(row.figure, row.handler),
    ]


def _verdict(row: Row) -> str:
    return {None: "", True: "yes", False: "**no**"}[row.met]


def _memory(results: Figures) -> list[str]:
    lines = []
    for commit, name in (("this", "operator"), ("before", "against")):
        figures = results.get(name, {}).get("figures", {})
        if "coldStart" in figures and "oneJob" in figures:
            many = figures["coldStart"]
            lines.append([commit, *map(number, (figures["oneJob"]["memoryMiB"], many["memoryMiB"])),
                          number(many.get("memoryMiBPer1000Jobs"))])  # fmt: skip
    if not lines:
        return []
    jobs = results["parameters"]["jobs"]
    return [
        "## Memory",
        "",
        "MiB that the process holds after it has looked at all jobs.",
        "",
        *table(("commit", "one job", f"{jobs:,} more", "per 1,000 jobs"), lines),
    ]


def _hand_offs(results: Figures) -> list[str]:
    own, other = loads(results["operator"]["figures"]), loads(results.get("against", {}).get("figures", {}))
    if not own:
        return []
    lines = []
    for load in own:
        lines.append(_hand_off("this", load))
        if before := same_load(load, other):
            lines.append(_hand_off("before", before))
    return [
        "## From a pod's end to the next child",
        "",
        "Seconds, p50 / p99. A hand-off begins when the end of the last pod that a stage needed is written, and ends "
        "when the stage's Job or JobSet is created. Its parts: until the Job or JobSet controller has written its last "
        "word on what was needed (0 where the child was requested before that: the share is given), until the "
        "operator's request reaches the API server, until that is answered. Percentiles of parts don't add up to those "
        "of the whole. Pods end at random within the given time: the shorter it is, the more of everything is "
        "waiting for the API server.",
        "",
        *table(
            ("active", "pods end within", "commit", "hand-off", "controllers", "operator", "API server",
             "before the controllers", "created to first child", "CPU per job", "writes per job beyond children",
             "calls per job", "most memory until then"),
            lines,
        ),
    ]  # fmt: skip


def _hand_off(commit: str, load: Figures) -> list[str]:
    whole = load["handOff"]
    parts = whole.get("parts", {})
    return [
        f"{load['active']:,}",
        f"{load['podSeconds']:g} s",
        commit,
        _pair(whole),
        *(_pair(parts.get(part, {})) for part in ("controllers", "operator", "apiServer")),
        f"{100 * whole['beforeCondition']:.0f} %" if "beforeCondition" in whole else "",
        _pair(load["firstChild"]),
        f"{number(load['cpuMillisecondsPerJob'])} ms",
        number(beyond_creations(load)),
        number(load["callsPerJob"]),
        f"{number(load['peakMiB'])} MiB" if "peakMiB" in load else "",
    ]


def _pair(figures: Mapping[str, Any]) -> str:
    return f"{number(figures['p50'])} / {number(figures['p99'])}" if "p50" in figures else ""


def _cores(results: Figures) -> list[str]:
    own = loads(results["operator"]["figures"])
    if not own:
        return []
    parts = list(own[0]["cores"])
    lines = [
        [f"{load['active']:,}", f"{load['podSeconds']:g} s", number(load["seconds"]),
         *(number(load["cores"].get(part)) for part in parts)]
        for load in own
    ]  # fmt: skip
    return [
        "## Who uses the cores",
        "",
        "Cores on average, from when pods may end until the last job is complete.",
        "",
        *table(("active", "pods end within", "seconds", *parts), lines),
    ]


def _profile(results: Figures) -> list[str]:
    if "profile" not in results:
        return []
    lines = [[part, f"{100 * share:.1f} %"] for part, share in results["profile"].items()]
    return [
        "## Where the operator's time goes",
        "",
        "Shares of its processor time while the most jobs were active but for the burst, sampled by py-spy in a run of "
        "its own.",
        "",
        *table(("part", "share"), lines),
    ]


def _calls(results: Figures) -> list[str]:
    figures = results["operator"]["figures"]
    before = results.get("against", {}).get("figures", {})
    found = [
        *_kinds("Cold start", figures.get("coldStart", {}), before.get("coldStart", {}), 1),
        *_kinds("Restart with active jobs", figures.get("restart", {}), before.get("restart", {}), 1),
    ]
    for load in loads(figures)[-1:]:
        title = f"Per job of {load['active']:,}, whose pods end within {load['podSeconds']:g} s"
        found += _kinds(title, load, same_load(load, loads(before)), load["active"])
    return ["## API calls of the operator", "", *found[:-1]] if found else []


def _kinds(title: str, own: Figures, other: Figures, divisor: float) -> Iterator[str]:
    """One table; its last line is empty."""
    if "calls" not in own:
        return
    calls, before = own["calls"], other.get("calls", {})
    kinds = sorted({*calls, *before}, key=lambda kind: (-calls.get(kind, 0), kind))
    yield f"{title}:"
    yield ""
    lines = (
        [kind, number(calls.get(kind, 0) / divisor), number(before.get(kind, 0) / divisor) if before else ""]
        for kind in kinds
    )
    yield from table(("call", "this commit", "commit before"), lines)
    yield ""


def _check(results: Figures) -> list[str]:
    lines = [
        "## Check",
        "",
        "At the end of a run every finished job must have the resource version that it was written with, every other "
        "job must be complete, and each stage's child must have been created once, by the audit log.",
        "",
    ]
    for name, title in (("operator", "This commit"), ("against", "Commit before")):
        if name in results:
            lines.append(f"- {title}: {_outcome(results[name]['check'])}")
    return lines


def _outcome(check: Figures) -> str:
    if "error" in check:
        return f"given up: {check['error']}."
    seen = f"{check['jobs']:,} jobs, {check['children']:,} children"
    wrong: Iterable[str] = (f"{found['count']} {kind}" for kind, found in check["wrong"].items())
    return f"{seen}; {'all as they must be' if check['good'] else 'wrong: ' + ', '.join(wrong)}."


def write_page(results: Path = RESULTS, to: Path = PAGE) -> None:
    """Write the page of a JSON. Raises OSError and ValueError when there is none."""
    to.write_text(page(json.loads(results.read_text())))


if __name__ == "__main__":
    write_page()
