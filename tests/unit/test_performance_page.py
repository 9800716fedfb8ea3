"""docs/performance.md tells what the committed run of the benchmark has shown."""

import json
from typing import Any

from benchmarks.control_plane.argo_table import argo_section
from benchmarks.control_plane.goals import GOALS, at, rows
from benchmarks.control_plane.options import PHASES
from benchmarks.control_plane.page import PAGE, RESULTS, page
from benchmarks.control_plane.stacks import shares


def results() -> dict[str, Any]:
    return dict(json.loads(RESULTS.read_text()))


def test_the_page_is_what_the_run_has_shown() -> None:
    """When it fails: ``make generate``."""
    assert PAGE.read_text() == page(results())


def test_every_goal_of_a_phase_that_was_run_finds_its_figure() -> None:
    run = results()["operator"]["figures"]
    phases = set(results()["parameters"]["phases"])
    without = {goal.measure for goal in GOALS if at(run, goal.path) is None}
    assert without == {goal.measure for goal in GOALS if goal.path[0] in set(PHASES) - phases}


def test_a_goal_is_reached_up_to_its_limit_and_a_figure_that_is_missing_reaches_none() -> None:
    run = {"operator": {"figures": {"coldStart": {"seconds": 20.0, "cpuSeconds": 10.1}}}}
    met = {row.goal.measure: row.met for row in rows(run)}
    assert met["cold start, until all jobs were looked at"] is True
    assert met["cold start, processor time"] is False
    assert met["at rest, reads"] is None


def test_argo_workflows_has_a_section_when_it_was_measured() -> None:
    assert argo_section(None) == []
    measured = {"handOff": {"p50": 0.5, "p99": 2.0}, "writesPerJob": {"all": 24}}
    text = argo_section(
        {
            "argoWorkflows": "v4.0.0",
            "graph": {"stages": 13, "pods": 15},
            "contestants": {"operator": measured, "argo-best": {"handOff": {"p50": 1.0, "p99": 8.0}}},
        }
    )
    assert "| hand-off, p99, s | 2 | 8 | 0.25 |" in text
    assert "| controller's writes per job | 24 |  |  |" in text


def test_a_profile_has_a_section_when_stacks_were_sampled() -> None:
    outer = "run (process.py:57);"
    found = shares(
        [
            f"{outer}Reconciler.reconcile (reconcile.py:1);Reconciler._decide (reconcile.py:2);JSONDecoder.decode 6",
            f"{outer}Reconciler.reconcile (reconcile.py:1) 1",
            f"{outer}watcher (kopf/queueing.py:1);JSONDecoder.decode (json/decoder.py:1) 2",
            f"{outer}nobody's (elsewhere.py:1) 1",
        ]
    )
    assert found == {
        "decisions, and what they look at": 0.6,
        "reading watches: JSON": 0.2,
        "the rest of a reconcile": 0.1,
        "event loop and others": 0.1,
    }
    text = page({**results(), "profile": found})
    assert "| decisions, and what they look at | 60.0 % |" in text


def test_a_run_of_some_phases_has_a_page_of_these_next_to_the_other_commits() -> None:
    run = results()
    figures = run["operator"]["figures"]
    some = {name: figures[name] for name in ("generator", "oneJob", "coldStart", "rest")}
    cold = {**some["coldStart"], "seconds": 4 * some["coldStart"]["seconds"], "calls": {"list nodes": 7}}
    other = {"commit": "f" * 40, "figures": {**some, "coldStart": cold}, "check": {"good": False, "error": "it ended"}}
    text = page({**run, "operator": {**run["operator"], "figures": some}, "against": other})
    (row,) = [line for line in text.splitlines() if line.startswith("| cold start, until all jobs")]
    assert row.split(" | ")[4] == "0.25"
    assert "| list nodes | 0 | 7 |" in text
    assert "Commit before: given up: it ended." in text
    assert "not run" in text
    assert "From a pod's end" not in text
