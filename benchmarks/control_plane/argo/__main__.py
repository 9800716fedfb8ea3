"""Measure, and write one JSON: see the package for what it means."""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from benchmarks.control_plane.argo import __doc__ as about
from benchmarks.control_plane.argo import installation
from benchmarks.control_plane.argo.contestants import ARGO_BEST, ARGO_DEFAULT, Argo, Contestant, Operator
from benchmarks.control_plane.argo.ratios import ratios
from benchmarks.control_plane.argo.runner import Turn
from benchmarks.control_plane.argo.workflow import graph
from support.cluster import apply_crd
from support.small_job import manifest
from testbed.cluster import Testbed
from testbed.commands import output
from testbed.console import progress
from testbed.site import Depth

TESTBED = "bench-argo"


def main() -> None:
    """Run the contestants in turn."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100, metavar="N", help="jobs of each contestant (100)")
    parser.add_argument("--active", type=int, default=20, metavar="A", help="of these at once (20)")
    parser.add_argument(
        "--default-jobs",
        type=int,
        metavar="M",
        help="jobs of argo-default, which takes long: of its 20 requests a second a job needs 76 (--jobs)",
    )
    parser.add_argument("--with-operator", action="store_true", help="the operator has the first turn; adds ratios")
    parser.add_argument("--only", choices=("argo-default", "argo-best"), help="leave out the other way to run Argo")
    parser.add_argument("--out", type=Path, metavar="FILE", required=True, help="write the JSON there")
    options = parser.parse_args()
    options.out.write_text(json.dumps(measured(options), indent=2) + "\n")


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """All figures, with the machine that they are of."""
    say = progress()
    installation.build(say)
    stages = graph(manifest()["spec"])
    argos = [Argo("argo-default", ARGO_DEFAULT, stages), Argo("argo-best", ARGO_BEST, stages)]
    contestants: list[Contestant] = [argo for argo in argos if options.only in (None, argo.name)]
    if options.with_operator:
        contestants.insert(0, Operator())
    testbed = Testbed(TESTBED, Depth.CONTROL_PLANE, say)
    # What a run that was killed has left would count.
    testbed.down()
    testbed.up()
    try:
        apply_crd(testbed)
        # Pods end without a node: what it would write to those that fit nowhere is nobody's cost.
        testbed.kill("kube-scheduler")
        jobs = {"argo-default": options.default_jobs or options.jobs}
        figures = {
            one.name: Turn(testbed, one, stages, say).measure(jobs.get(one.name, options.jobs), options.active)
            for one in contestants
        }
    finally:
        testbed.down()
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()},
        "commit": output(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent).strip(),
        "argoWorkflows": installation.version(),
        "graph": {"stages": len(stages), "pods": sum(node.pods for node in stages.values())},
        "contestants": figures,
        "operatorOverArgo": ratios(figures),
    }


if __name__ == "__main__":
    main()
