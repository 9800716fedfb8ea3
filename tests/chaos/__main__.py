"""``make chaos``: 200 jobs; the last line is one JSON object."""

import argparse
import sys
import tempfile
from pathlib import Path

from chaos.chaos import Chaos
from support.cluster import control_plane


def main() -> int:
    """Run it; 0 when nothing was lost and nothing done twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quiet-seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    with control_plane("chaos") as (testbed, api), tempfile.TemporaryDirectory() as folder:
        run = Chaos(testbed, api, Path(folder), arguments.jobs, arguments.seed, arguments.quiet_seconds)
        outcome = run.run()
    print(outcome.as_json())
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
