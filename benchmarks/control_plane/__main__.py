"""``make bench``: the whole run. The last line says where its JSON is, and the exit code whether all was right."""

import asyncio
import datetime
import json
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.control_plane.api import Api
from benchmarks.control_plane.machine import changed, commit, machine, versions, worktree
from benchmarks.control_plane.options import Options, Parameters, parse
from benchmarks.control_plane.programs import Programs
from benchmarks.control_plane.run import Run
from benchmarks.control_plane.stacks import read_shares
from support.cluster import apply_crd
from testbed.cluster import Testbed
from testbed.layout import CHECKOUT
from testbed.site import Depth


def main() -> int:
    """Measure, write the JSON; 0 when every job is as it must be."""
    options = parse()
    # As by Ctrl-C, so that testbed and operators go down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun = time.monotonic()
    against = None if options.against is None else commit(options.against)
    logs = options.output.parent / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    results: dict[str, Any] = {"date": datetime.date.today().isoformat(), "machine": machine()}
    results |= _measured(options, CHECKOUT, options.parameters, logs / "operator")
    results["operator"] = {"commit": commit(), "changed": changed(), **results["operator"]}
    if against is not None:
        with tempfile.TemporaryDirectory() as scratch, worktree(against, Path(scratch) / "source") as source:
            other = _measured(options, source, options.against_parameters, logs / "against")
        results["against"] = {"commit": against, "parameters": other["parameters"], **other["operator"]}
    if options.argo is not None:
        results["argoWorkflows"] = json.loads(options.argo.read_text())
    if options.profile is not None:
        results["profile"] = read_shares(options.profile)
    results["minutes"] = round((time.monotonic() - begun) / 60, 1)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n")
    print(f"bench: {options.output}, after {results['minutes']} minutes")
    checks = {name: results[name]["check"] for name in ("operator", "against") if name in results}
    for name, check in checks.items():
        for kind, found in check.get("wrong", {}).items():
            print(f"bench: {name}: {found['count']} {kind}, such as {', '.join(found['first'])}")
        if "error" in check:
            print(f"bench: {name}: given up: {check['error']}")
    return 0 if all(check["good"] for check in checks.values()) else 1


def _measured(options: Options, checkout: Path, parameters: Parameters, folder: Path) -> dict[str, Any]:
    """All figures of the operator of a checkout, on a testbed of its own."""
    folder.mkdir(parents=True)
    testbed = Testbed(options.name, Depth.CONTROL_PLANE)
    testbed.down()
    testbed.up()
    try:
        # There is no node: what a scheduler writes on pods that fit nowhere would be noise in every figure.
        testbed.kill("kube-scheduler")
        apply_crd(testbed, checkout / "crds" / "distillationjobs.yaml")
        return asyncio.run(_run(testbed, checkout, parameters, folder))
    finally:
        testbed.down()


async def _run(testbed: Testbed, checkout: Path, parameters: Parameters, folder: Path) -> dict[str, Any]:
    own = checkout == CHECKOUT

    def say(text: str) -> None:
        print(f"bench: {'' if own else 'against: '}{text}", flush=True)

    async with Api(testbed) as api, Programs(api, parameters.seed) as programs:
        run = Run(testbed, api, programs, checkout / "operator", folder, parameters, say)
        known = await versions(api)
        try:
            outcome = (await run.run(with_empty_handler=own)).figures()
        except Exception as error:
            # What was measured until then is worth keeping.
            traceback.print_exc()
            outcome = {"good": False, "error": f"{type(error).__name__}: {error}"}
    handler = run.figures.pop("emptyHandler", None)
    return {
        "versions": known,
        "parameters": parameters.figures(),
        "operator": {"figures": run.figures, "check": outcome},
        **({} if handler is None else {"emptyHandler": handler}),
    }


if __name__ == "__main__":
    sys.exit(main())
