"""What a run of the benchmark is asked to do."""

import argparse
from dataclasses import dataclass
from pathlib import Path

PHASES = ("coldStart", "restart", "handOff", "burst", "failover")
OUTPUT = Path("build/bench/control-plane.json")


@dataclass(frozen=True)
class Load:
    """So many jobs at the same time, whose pods each end within so many seconds."""

    active: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> "Load":
        """``JOBS:SECONDS``, as the command line has it. Raises argparse.ArgumentTypeError."""
        active, _, seconds = text.partition(":")
        try:
            load = cls(int(active), float(seconds))
        except ValueError:
            load = cls(0, 0)
        if load.active < 1 or load.seconds <= 0:
            raise argparse.ArgumentTypeError(f"{text!r}: JOBS:SECONDS is wanted, such as 300:4")
        return load

    def __str__(self) -> str:
        return f"{self.active}:{self.seconds:g}"


@dataclass(frozen=True)
class Parameters:
    """What one operator is measured with."""

    jobs: int
    """Finished ones."""
    namespaces: int
    hand_offs: tuple[Load, ...]
    """One after the other; before the pods of the last may end, the operator is killed and started again."""
    burst: Load
    phases: tuple[str, ...]
    rest_seconds: float
    seed: int

    def figures(self) -> dict[str, object]:
        """The same as JSON has it."""
        return {
            "jobs": self.jobs,
            "namespaces": self.namespaces,
            "handOffs": [str(load) for load in self.hand_offs],
            "burst": str(self.burst),
            "phases": list(self.phases),
            "restSeconds": self.rest_seconds,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Options:
    """The command line."""

    parameters: Parameters
    against: str | None
    """A commit whose operator is measured too."""
    against_parameters: Parameters
    argo: Path | None
    """The JSON of ``benchmarks.control_plane.argo``, to be taken into this one."""
    profile: Path | None
    """Stacks of the operator, sampled in a run of their own."""
    output: Path
    name: str
    """Of the testbed."""


def parse(arguments: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control_plane", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="finished jobs (default: 10,000)")
    parser.add_argument("--namespaces", type=int, default=100, help="namespaces of these (default: 100)")
    parser.add_argument(
        "--active",
        type=_loads,
        default=_loads("20:4,100:4,300:4"),
        metavar="JOBS:SECONDS,...",
        help="jobs that run at the same time, and within how many seconds each of their pods ends, one load after the "
        "other; in the last the operator is restarted before the pods end (default: 20:4,100:4,300:4)",
    )
    parser.add_argument(
        "--burst",
        type=Load.parse,
        default=Load(1000, 4),
        metavar="JOBS:SECONDS",
        help="jobs that are created at once, and within how many seconds their pods end (default: 1000:4)",
    )
    parser.add_argument("--phases", type=_phases, default=PHASES, help=f"of {','.join(PHASES)} (default: all)")
    parser.add_argument("--rest-seconds", type=float, default=60.0, help="how long rest is looked at (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="of the times after which pods end (default: 1)")
    parser.add_argument("--against", metavar="COMMIT", help="measure the operator of that commit too")
    parser.add_argument(
        "--against-active",
        type=_loads,
        default=_loads("20:4,100:4"),
        metavar="JOBS:SECONDS,...",
        help="the loads of that one (default: 20:4,100:4)",
    )
    parser.add_argument(
        "--against-phases",
        type=_phases,
        default=("coldStart", "restart", "handOff"),
        help="the phases of that one (default: coldStart,restart,handOff)",
    )
    parser.add_argument(
        "--argo", type=Path, metavar="JSON", help="what benchmarks.control_plane.argo has written, for the same page"
    )
    parser.add_argument(
        "--profile", type=Path, metavar="RAW", help="stacks of the operator that py-spy has sampled with --format raw"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"default: {OUTPUT}")
    parser.add_argument("--name", default="bench", help="of the testbed, which is made and removed (default: bench)")
    found = parser.parse_args(arguments)

    def parameters(hand_offs: tuple[Load, ...], phases: tuple[str, ...]) -> Parameters:
        return Parameters(found.jobs, found.namespaces, hand_offs, found.burst, phases, found.rest_seconds, found.seed)

    return Options(
        parameters(found.active, found.phases),
        found.against,
        parameters(found.against_active, found.against_phases),
        found.argo,
        found.profile,
        found.output,
        found.name,
    )


def _loads(text: str) -> tuple[Load, ...]:
    return tuple(Load.parse(part) for part in text.split(","))


def _phases(text: str) -> tuple[str, ...]:
    wanted = text.split(",")
    for phase in wanted:
        if phase not in PHASES:
            raise argparse.ArgumentTypeError(f"{phase!r} is no phase; there are {', '.join(PHASES)}")
    # In the order in which they are run.
    return tuple(phase for phase in PHASES if phase in wanted)
