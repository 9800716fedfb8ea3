"""``make soak``: 300 active jobs for an hour; the last line is one JSON object."""

import argparse
import sys
import tempfile
from pathlib import Path

from soak.soak import Soak
from support.cluster import control_plane


def main() -> int:
    """Run it; 0 when nothing was missed, nothing done twice, and memory was flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300, help="active at a time")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--longest-run", type=float, default=120.0, help="of a pod, in seconds; memory is flat after a job's life"
    )
    parser.add_argument("--folder", type=Path, help="where the operator's log is to stay")
    arguments = parser.parse_args()
    with control_plane("soak") as (testbed, api), tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        outcome = Soak(
            testbed, api, folder, arguments.jobs, arguments.seconds, arguments.seed, arguments.longest_run,
            fault_seconds=(5.0, 15.0), calm_seconds=(5.0, 30.0),
        ).run()  # fmt: skip
    print(outcome.as_json())
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
