"""``make demo``: from nothing to a distilled student. Prints what it does from the first second."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from demo.operator_process import OperatorProcess
from demo.places import NAMESPACE, Place, explain, kubeconfig_of_user, testbed_place, users_place
from demo.result import result_of, summary_lines, write_result
from testbed.cluster import Testbed
from testbed.errors import TestbedError

CHECKOUT = Path(__file__).resolve().parents[2]
CRD = CHECKOUT / "crds" / "distillationjobs.yaml"
EXAMPLE = CHECKOUT / "examples" / "smollm2-cpu.yaml"
JOB = "smollm2-cpu"
FOLDER = CHECKOUT / "build" / "demo"

_started = time.monotonic()


def say(text: str) -> None:
    """A line with the seconds since the start."""
    print(f"[{time.monotonic() - _started:6.1f} s] {text}", flush=True)


def main() -> int:
    """Run the demo; 0 when the job is Complete."""
    say("distillation-operator: the demo of examples/smollm2-cpu.yaml")
    kubeconfig = kubeconfig_of_user()
    testbed = None if kubeconfig else Testbed(name="demo", say=say)
    try:
        place = users_place(kubeconfig, say) if kubeconfig else testbed_place(testbed, say)  # type: ignore[arg-type]
        return _distil(place)
    except TestbedError as error:
        say(f"the testbed failed: {error}")
        return 1
    except subprocess.CalledProcessError as error:
        say(explain(error))
        return 1
    finally:
        if testbed is not None:
            testbed.down()
            say("the testbed is down")


def _distil(place: Place) -> int:
    kubectl = place.kubectl
    kubectl("apply", "--server-side", "-f", str(CRD))
    kubectl("wait", "--for=condition=Established", "crd/distillationjobs.distillation.dev", "--timeout=60s")
    operator = OperatorProcess(place.kubeconfig, FOLDER / "operator.log", NAMESPACE)
    operator.start()
    say(f"the operator runs; its log is {(FOLDER / 'operator.log').relative_to(CHECKOUT)}")
    try:
        kubectl("delete", "distillationjob", JOB, "--ignore-not-found")
        kubectl("apply", "-f", str(EXAMPLE))
        say(f"applied {EXAMPLE.relative_to(CHECKOUT)}; kubectl get distillationjobs -n {NAMESPACE} -w would show:")
        watch = [sys.executable, "-m", "distillation_operator", "watch", JOB, "-n", NAMESPACE]
        subprocess.run([*watch, "--kubeconfig", str(place.kubeconfig)], check=False)
        job = kubectl.get("distillationjob", JOB) or {}
    finally:
        operator.stop()
    result = result_of(job)
    write_result(result, FOLDER / "result.json")
    if result["phase"] != "Complete":
        conditions = (job.get("status") or {}).get("conditions") or []
        failed = next((c["message"] for c in conditions if c["type"] == "Failed"), "")
        say(f"the DistillationJob is {result['phase']}: {failed}")
        print("\n".join(summary_lines(result)), flush=True)
        return 1
    if place.storage is not None:
        # The testbed's storage goes with it; the student stays.
        shutil.rmtree(FOLDER / "model", ignore_errors=True)
        shutil.copytree(place.storage / result["exportedModel"], FOLDER / "model")
        say(f"the student is in {(FOLDER / 'model').relative_to(CHECKOUT)}")
    say("the DistillationJob is Complete")
    print("\n".join(summary_lines(result)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
