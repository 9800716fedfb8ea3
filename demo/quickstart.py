"""``make quickstart``: from a fresh clone to a distilled student on this machine, without Kubernetes, root or Go.

Makes the environments that its stages run in, a teacher and a student, and runs ``examples/quickstart.yaml`` by
``distillation-operator local``. Ended and started again it goes on where it was.
"""

import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from demo.bootstrap import STAGES
from demo.child import run_to_its_end
from demo.estimate import Step
from demo.inputs.__main__ import write_inputs
from demo.inputs.cache import DemoInputsError, demo_cache
from demo.progress import Progress
from demo.result import result_of, summary_lines
from distillation_api.resource import DistillationJob
from distillation_api.spec import DistillationJobSpec
from distillation_operator.local import environments
from distillation_operator.local.errors import LocalError, PreparationError
from distillation_operator.local.folder import JobFolder

CHECKOUT = Path(__file__).resolve().parents[1]
EXAMPLE = CHECKOUT / "examples" / "quickstart.yaml"
STORAGE = CHECKOUT / "build" / "quickstart"
JOB = "quickstart"
STATUS = STORAGE / JOB / "status.yaml"

# Seconds on two idle cores with a connection of 100 MB/s; estimates.
_ENVIRONMENTS = {"fetcher": 10.0, "converter": 100.0, "trainer": 20.0, "teacher": 45.0}
_MODELS, _INPUTS = 25.0, 5.0
STAGES_OF_THE_JOB = {
    "prepare-dataset": 5.0,
    "preflight": 10.0,
    "generate": 55.0,
    "pack-teacher-data": 10.0,
    "train-teacher-data": 70.0,
    "export": 30.0,
    "evaluate": 35.0,
}
"""The stages that others wait for, in their order."""
_CLOCK = re.compile(r"^\d\d:\d\d:\d\d ")
_NOT_YET = re.compile(r"^[a-z0-9-]+: Waiting ")


def main() -> int:
    """Run it; 0 when the student is there and has passed its gate."""
    progress = Progress()
    try:
        progress.plan(steps(environments.missing(STAGES), (demo_cache() / "models").exists()))
        progress.say(f"from here to a distilled student: {progress.left()}")
        with progress.beating():
            environments.prepare(STAGES, _environment_lines(progress))
            _make_ready(progress)
            progress.say(f"Distilling {EXAMPLE.relative_to(CHECKOUT)}: the stages")
            code = run_to_its_end(command(read_status(STATUS)), CHECKOUT, stage_lines(progress))
    except (PreparationError, DemoInputsError, LocalError) as error:
        progress.say(f"quickstart: {error}")
        return 1
    except OSError as error:
        progress.say(f"quickstart: {error.filename or STORAGE}: {error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        progress.say("interrupted; `make quickstart` goes on from here")
        return 130
    for line in closing_lines(read_status(STATUS), STORAGE, CHECKOUT) if code == 0 else failed_lines():
        progress.say(line)
    return code


def _make_ready(progress: Progress) -> None:
    """The storage as the job needs it. Raises LocalError when a run that goes on holds the job."""
    with JobFolder(STATUS.parent).locked():
        progress.begin("inputs", "Putting teacher, student and conversations into the storage")
        write_inputs(STORAGE)
        if aside := set_aside(STATUS):
            progress.say(f"the example has changed; the job as it was is in {aside.relative_to(CHECKOUT)}")


def command(known: dict[str, Any]) -> list[str]:
    """The command line that is the quickstart. ``known``: the job as it was left; what failed is tried again."""
    example, storage = (str(path.relative_to(CHECKOUT)) for path in (EXAMPLE, STORAGE))
    again = [stage["name"] for stage in result_of(known)["stages"] if stage["state"] == "Failed"]
    retry = ["--retry", again[0]] if again else []
    return [sys.executable, "-m", "distillation_operator", "local", example, "--storage", storage, *retry]


def steps(missing: Sequence[str], has_models: bool) -> list[Step]:
    """What is to be done with these environments missing, in its order."""
    made = [Step(name, _ENVIRONMENTS[name]) for name in missing]
    stages = [Step(name, seconds) for name, seconds in STAGES_OF_THE_JOB.items()]
    return [*made, Step("inputs", _INPUTS + (0.0 if has_models else _MODELS)), *stages]


def read_status(path: Path) -> dict[str, Any]:
    """The job as it was kept last; empty when there is none."""
    try:
        job = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return job if isinstance(job, dict) else {}


def set_aside(status: Path) -> Path | None:
    """Rename the folder of a job that the example no longer is, and return where it is; None when there is none.

    The caller holds the folder. The job's finished stages stay in the storage, where the new one finds those that are
    still the same.
    """
    known, wanted = read_status(status), _spec(read_status(EXAMPLE))
    # What is wrong with an example that is no job is said by who runs it.
    if not known or wanted is None or _spec(known) == wanted:
        return None
    aside = status.parent.with_name(f"{status.parent.name}-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    return status.parent.rename(aside)


def _spec(job: dict[str, Any]) -> DistillationJobSpec | None:
    """None for a job of another version, or for none at all."""
    try:
        return DistillationJob.parse(job).spec
    except (ValueError, TypeError):
        return None


def closing_lines(job: dict[str, Any], storage: Path, seen_from: Path) -> list[str]:
    """Scores, where student and report are, and what to do next; or that there is no student, and where to look."""
    result = result_of(job)
    if result["phase"] != "Complete":
        return [f"no student yet: the job is {result['phase'] or 'not begun'}", *failed_lines()]
    lines = summary_lines(result)[:-1]
    lines.append(f"the student:  {(storage / result['exportedModel']).relative_to(seen_from)}")
    if result["report"]:
        lines.append(f"the report:   {(storage / result['report']).relative_to(seen_from)} (open it in a browser)")
    lines.append(f"the status:   {(storage / JOB / STATUS.name).relative_to(seen_from)}")
    lines.append("its answers still degenerate: a student of this size needs thousands of steps; see the report")
    lines.append("next: your own models and data, docs/local.md; on a cluster, docs/first-hour.md")
    return lines


def failed_lines() -> list[str]:
    """Where to look; the reason has been said."""
    logs = (STATUS.parent / "logs").relative_to(CHECKOUT)
    return [f"this run has made no student; logs of the stages: {logs}; `make quickstart` goes on from here"]


def stage_lines(progress: Progress) -> Callable[[str], None]:
    """Prints the lines of `local`, but for stages whose turn hasn't come; one that runs moves the estimate."""

    def say(line: str) -> None:
        text = _CLOCK.sub("", line)
        name, _, state = text.partition(": ")
        if name in STAGES_OF_THE_JOB and state.startswith("Running"):
            progress.begin(name, text)
        elif text and not _NOT_YET.match(text):
            progress.say(text)

    return say


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
