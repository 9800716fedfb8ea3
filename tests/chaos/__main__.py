"""``make chaos``: 200 jobs; the last line is one JSON object."""

import argparse
import sys
import tempfile
from pathlib import Path

from kubernetes import config

from chaos.chaos import Chaos
from support.cluster import apply_crd
from testbed.cluster import Testbed
from testbed.site import Depth


def main() -> int:
    """Run it; 0 when nothing was lost and nothing done twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quiet-seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    testbed = Testbed("chaos", Depth.CONTROL_PLANE, say=lambda text: print(f"chaos: {text}", flush=True))
    testbed.up()
    try:
        apply_crd(testbed)
        api = config.new_client_from_config(str(testbed.kubeconfig))  # type: ignore[no-untyped-call]
        with tempfile.TemporaryDirectory() as folder:
            run = Chaos(testbed, api, Path(folder), arguments.jobs, arguments.seed, arguments.quiet_seconds)
            outcome = run.run()
    finally:
        testbed.down()
    print(outcome.as_json())
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
