"""``make demo``: from nothing to a distilled student. Prints what it does from the first second.

``make playground``: the same cluster, left up for whoever wants to try things.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from demo.bootstrap import PROGRAMS, STAGES
from demo.chart_operator import ChartOperator
from demo.compiled import keep_compiled, put_compiled
from demo.estimate import Step
from demo.kubectl import shell_variables
from demo.operator_process import OperatorProcess
from demo.places import NAMESPACE, Place, explain, kubeconfig_of_user, testbed_place, users_place
from demo.progress import Progress
from demo.result import result_of, summary_lines, write_result
from distillation_operator.local import environments
from distillation_operator.local.errors import PreparationError
from testbed import binaries, toolchain
from testbed.binaries import HELM
from testbed.cluster import Testbed, check_machine
from testbed.errors import TestbedError

CHECKOUT = Path(__file__).resolve().parents[1]
CRD = CHECKOUT / "crds" / "distillationjobs.yaml"


@dataclass(frozen=True)
class Demo:
    """One example and where its results go."""

    job: str
    folder: Path

    @property
    def example(self) -> Path:
        """The manifest; it is named after the job."""
        return CHECKOUT / "examples" / f"{self.job}.yaml"


OFFLINE = Demo("smollm2-cpu", CHECKOUT / "build" / "demo")
ONLINE = Demo("smollm2-cpu-online", CHECKOUT / "build" / "demo-online")
PREVIEW = Demo("smollm2-cpu-preview", CHECKOUT / "build" / "demo-preview")
PLAYGROUND = "playground"

# Seconds on two idle cores; estimates. What isn't in the table is made next to what is.
_PROGRAMS = {"kube": 420.0, "jobset": 40.0, "coredns": 40.0, "pause": 2.0, "helm": 60.0}
_ENVIRONMENTS = {"fetcher": 15.0, "teacher": 70.0, "trainer": 80.0, "converter": 60.0}
_TESTBED, _RUN = "the testbed comes up", "the run"
_SECONDS = {_TESTBED: 20.0, _RUN: 270.0}

_progress = Progress()
say = _progress.say


def _steps() -> list[Step]:
    return steps(binaries.missing(PROGRAMS), environments.missing(STAGES))


def steps(programs: list[str], stages: list[str]) -> list[Step]:
    """What is to be done, in its order, when these Go programs and environments are missing.

    They are made at the same time, and the programs take longer.
    """
    building = [Step(f"go build {name}", _PROGRAMS[name]) for name in programs if name in _PROGRAMS]
    installing = [Step(f"environment {name}", _ENVIRONMENTS[name]) for name in stages]
    return [*(building or installing), *(Step(name, seconds) for name, seconds in _SECONDS.items())]


def estimated(progress: Progress) -> Callable[[str], None]:
    """Prints lines with the time left; a line that begins a step moves the estimate."""

    def say(line: str) -> None:
        progress.begin(line.partition(":")[0], line)

    return say


def main() -> int:
    """Run the demo (``--online``: of logit matching, ``--preview``: with a preview, ``--playground``: none); 0 when the
    job is Complete.
    """
    if "--playground" in sys.argv[1:]:
        return _playground()
    demo = ONLINE if "--online" in sys.argv[1:] else PREVIEW if "--preview" in sys.argv[1:] else OFFLINE
    say(f"distillation-operator: the demo of {demo.example.relative_to(CHECKOUT)}")
    kubeconfig = kubeconfig_of_user()
    testbed = Testbed(name=demo.folder.name, say=say)
    try:
        _progress.plan(_steps() if kubeconfig is None else [Step(_RUN, _SECONDS[_RUN])])
        say(f"from here to a distilled student: {_progress.left()}")
        place = users_place(kubeconfig, say) if kubeconfig else _place(testbed)
        return _distil(place, demo)
    except (TestbedError, PreparationError) as error:
        say(f"the testbed failed: {error}")
        return 1
    except subprocess.CalledProcessError as error:
        say(explain(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        if kubeconfig is None:
            testbed.down()
            say("the testbed is down")


def _place(testbed: Testbed) -> Place:
    """The testbed; of what is missing all is built at once, with Helm, which installs the operator."""
    check_machine()
    toolchain.build(estimated(_progress), [*testbed.parts, "helm"])
    _progress.begin(_TESTBED, "starting a Kubernetes of one node")
    return testbed_place(testbed, say)


def _distil(place: Place, demo: Demo) -> int:
    kubectl = place.kubectl
    if place.storage is not None and put_compiled(place.storage):
        say("programs that earlier runs have compiled are in the storage")
    operator = _operator(place, demo.folder / "operator.log")
    operator.start()
    try:
        kubectl("delete", "distillationjob", demo.job, "--ignore-not-found")
        kubectl("apply", "-f", str(demo.example))
        _progress.begin(_RUN, f"applied {demo.example.relative_to(CHECKOUT)}")
        say(f"kubectl get distillationjobs -n {NAMESPACE} -w would show:")
        watch = [sys.executable, "-m", "distillation_operator", "watch", demo.job, "-n", NAMESPACE]
        subprocess.run([*watch, "--kubeconfig", str(place.kubeconfig)], check=False)
        job = kubectl.get("distillationjob", demo.job) or {}
    finally:
        operator.stop()
    result = result_of(job)
    write_result(result, demo.folder / "result.json")
    if result["phase"] != "Complete":
        conditions = (job.get("status") or {}).get("conditions") or []
        failed = next((c["message"] for c in conditions if c["type"] == "Failed"), "")
        say(f"the DistillationJob is {result['phase']}: {failed}")
        print("\n".join(summary_lines(result)), flush=True)
        return 1
    if place.storage is not None:
        # The testbed's storage goes with it; the student stays.
        keep_compiled(place.storage)
        shutil.rmtree(demo.folder / "model", ignore_errors=True)
        shutil.copytree(place.storage / result["exportedModel"], demo.folder / "model")
        say(f"the student is in {(demo.folder / 'model').relative_to(CHECKOUT)}")
        if result["report"]:
            shutil.copyfile(place.storage / result["report"], demo.folder / "report.html")
            say(f"the report is {(demo.folder / 'report.html').relative_to(CHECKOUT)}")
    say("the DistillationJob is Complete")
    print("\n".join(summary_lines(result)), flush=True)
    return 0


def _playground() -> int:
    testbed = Testbed(name=PLAYGROUND, say=say)
    _progress.plan(_steps()[:-1])
    say(f"from here to a cluster: {_progress.left()}")
    try:
        place = _place(testbed)
        say("installing the chart: charts/distillation-operator")
        ChartOperator(place, CHECKOUT / "build" / "demo" / "operator.log").start()
    except (TestbedError, PreparationError) as error:
        say(f"the testbed failed: {error}")
        return 1
    helm = place.kubeconfig.parent / "bin" / "helm"
    if not helm.exists():
        helm.symlink_to(HELM.path)
    say("the playground is up; `make down` ends it. In this shell kubectl and helm reach it after:")
    print(shell_variables(place.kubeconfig))
    return 0


def _operator(place: Place, log: Path) -> ChartOperator | OperatorProcess:
    """The chart's Deployment; on a user's cluster without an image of the operator, a process of this machine."""
    if place.storage is not None or "OPERATOR_IMAGE" in os.environ:
        say("installing the chart: charts/distillation-operator")
        return ChartOperator(place, log)
    say(f"the operator runs on this machine; its log is {log.relative_to(CHECKOUT)}")
    place.kubectl("apply", "--server-side", "-f", str(CRD))
    place.kubectl("wait", "--for=condition=Established", "crd/distillationjobs.distillation.dev", "--timeout=60s")
    return OperatorProcess(place.kubeconfig, log, NAMESPACE)


if __name__ == "__main__":
    sys.exit(main())
