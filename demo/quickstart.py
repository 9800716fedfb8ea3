"""``make quickstart``: from a fresh clone to a distilled student on this machine, without Kubernetes, root or Go.

Makes the environments that its stages run in, a teacher and a student, and runs ``examples/quickstart.yaml`` by
``distillation-operator local``. Ended and started again it goes on where it was.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from demo.bootstrap import STAGES
from demo.estimate import Step
from demo.inputs.__main__ import write_inputs
from demo.inputs.cache import DemoInputsError, demo_cache
from demo.progress import Progress
from demo.result import result_of, summary_lines
from distillation_operator.local import environments
from distillation_operator.local.installer import PreparationError

CHECKOUT = Path(__file__).resolve().parents[1]
EXAMPLE = CHECKOUT / "examples" / "quickstart.yaml"
STORAGE = CHECKOUT / "build" / "quickstart"
JOB = "quickstart"
STATUS = STORAGE / JOB / "status.yaml"

# Seconds on two idle cores with a connection of 100 MB/s; measured.
_ENVIRONMENTS = {"fetcher": 10.0, "converter": 100.0, "trainer": 20.0, "teacher": 45.0}
_MODELS, _INPUTS, _RUN = 25.0, 5.0, 220.0


def main() -> int:
    """Run it; 0 when the student is there and has passed its gate."""
    progress = Progress()
    progress.plan(steps(environments.missing(STAGES), (demo_cache() / "models").exists()))
    progress.say(f"from here to a distilled student: {progress.left()}")
    try:
        with progress.beating():
            environments.prepare(STAGES, _environment_lines(progress))
            progress.begin("inputs", "Putting teacher, student and conversations into the storage")
            write_inputs(STORAGE)
        progress.begin("run", f"Distilling {EXAMPLE.relative_to(CHECKOUT)}")
        code = run_to_its_end(command(read_status(STATUS)))
    except (PreparationError, DemoInputsError) as error:
        progress.say(f"quickstart: {error}")
        return 1
    except KeyboardInterrupt:
        progress.say("interrupted; `make quickstart` goes on from here")
        return 130
    for line in closing_lines(read_status(STATUS), STORAGE, CHECKOUT):
        progress.say(line)
    return code


def command(known: dict[str, Any]) -> list[str]:
    """The command line that is the quickstart. ``known``: the job as it was left; what failed is tried again."""
    example, storage = (str(path.relative_to(CHECKOUT)) for path in (EXAMPLE, STORAGE))
    again = [stage["name"] for stage in result_of(known)["stages"] if stage["state"] == "Failed"]
    retry = ["--retry", again[0]] if again else []
    return [sys.executable, "-m", "distillation_operator", "local", example, "--storage", storage, *retry]


def run_to_its_end(argv: Sequence[str]) -> int:
    """Run a program that ends in order by itself when interrupted; returns its exit code, or 128 and the signal."""
    with subprocess.Popen(argv, cwd=CHECKOUT) as process:
        # Ctrl-C reaches it from the terminal; what is sent to this process alone is handed on.
        before = {
            signal.SIGINT: signal.signal(signal.SIGINT, lambda number, frame: None),
            signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number)),
        }
        try:
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def steps(missing: Sequence[str], has_models: bool) -> list[Step]:
    """What is to be done with these environments missing, in its order."""
    made = [Step(name, _ENVIRONMENTS[name]) for name in missing]
    return [*made, Step("inputs", _INPUTS + (0.0 if has_models else _MODELS)), Step("run", _RUN)]


def read_status(path: Path) -> dict[str, Any]:
    """The job as it was kept last; empty when there is none."""
    try:
        job = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return job if isinstance(job, dict) else {}


def closing_lines(job: dict[str, Any], storage: Path, seen_from: Path) -> list[str]:
    """Scores, where student and report are, and what to do next; or what went wrong, and where to look."""
    result = result_of(job)
    folder = (storage / JOB).relative_to(seen_from)
    if result["phase"] != "Complete":
        conditions = (job.get("status") or {}).get("conditions") or []
        failed = next((c.get("message") for c in conditions if c.get("type") == "Failed" and c.get("message")), None)
        reason = failed or f"the job is {result['phase'] or 'not begun'}"
        return [
            f"no student yet: {reason}",
            f"logs of the stages: {folder}/logs; `make quickstart` tries again, from here",
        ]
    lines = summary_lines(result)[:-1]
    lines.append(f"the student:  {(storage / result['exportedModel']).relative_to(seen_from)}")
    if result["report"]:
        lines.append(f"the report:   {(storage / result['report']).relative_to(seen_from)} (open it in a browser)")
    lines.append(f"the status:   {folder}/status.yaml")
    lines.append("next: your own models and data, docs/local.md; on a cluster, docs/first-hour.md")
    return lines


def _environment_lines(progress: Progress) -> environments.Say:
    """Prints lines of the preparation; one that begins an environment moves the estimate."""

    def say(line: str) -> None:
        name = line.removeprefix("environment ").partition(":")[0]
        if line.startswith("environment ") and name in _ENVIRONMENTS:
            progress.begin(name, line[:1].upper() + line[1:])
        else:
            progress.say(line)

    return say


if __name__ == "__main__":
    sys.exit(main())
