"""``make demo``: from nothing to a distilled student. Prints what it does from the first second.

``make playground``: the same cluster, left up for whoever wants to try things.
"""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from demo.chart_operator import ChartOperator
from demo.kubectl import shell_variables
from demo.operator_process import OperatorProcess
from demo.places import NAMESPACE, Place, explain, kubeconfig_of_user, testbed_place, users_place
from demo.result import result_of, summary_lines, write_result
from testbed import toolchain
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

_started = time.monotonic()


def say(text: str) -> None:
    """A line with the seconds since the start."""
    print(f"[{time.monotonic() - _started:6.1f} s] {text}", flush=True)


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
        place = users_place(kubeconfig, say) if kubeconfig else _place(testbed)
        return _distil(place, demo)
    except TestbedError as error:
        say(f"the testbed failed: {error}")
        return 1
    except subprocess.CalledProcessError as error:
        say(explain(error))
        return 1
    finally:
        if kubeconfig is None:
            testbed.down()
            say("the testbed is down")


def _place(testbed: Testbed) -> Place:
    """The testbed; of what is missing all is built at once, with Helm, which installs the operator."""
    check_machine()
    toolchain.build(say, [*testbed.parts, "helm"])
    return testbed_place(testbed, say)


def _distil(place: Place, demo: Demo) -> int:
    kubectl = place.kubectl
    operator = _operator(place, demo.folder / "operator.log")
    operator.start()
    try:
        kubectl("delete", "distillationjob", demo.job, "--ignore-not-found")
        kubectl("apply", "-f", str(demo.example))
        say(f"applied {demo.example.relative_to(CHECKOUT)}; kubectl get distillationjobs -n {NAMESPACE} -w would show:")
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
    try:
        place = _place(testbed)
        say("installing the chart: charts/distillation-operator")
        ChartOperator(place, CHECKOUT / "build" / "demo" / "operator.log").start()
    except TestbedError as error:
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
