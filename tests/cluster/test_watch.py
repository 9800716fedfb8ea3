"""``watch`` on a real API server: progress, results, and an API server that is restarted under it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.wrong_manifests import GOOD, changed, put
from support.objects import CHECKOUT, Jobs
from testbed.cluster import Testbed

STAGE: dict[str, Any] = {"name": "generate", "state": "Running"}


def conditions(ended: str) -> list[dict[str, Any]]:
    """Those of a job that ended so."""
    return [
        {
            "type": kind,
            "status": str(kind == ended),
            "reason": "Test",
            "message": "",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind in ("Complete", "Failed")
    ]


def progress(done: int) -> dict[str, Any]:
    """A status with this many rows done."""
    return {
        "phase": "Running",
        "stages": [{**STAGE, "progress": {"done": done, "total": 100, "unit": "rows"}}],
    }


@pytest.fixture
def watching(testbed: Testbed, jobs: Jobs) -> Iterator[subprocess.Popen[str]]:
    """``watch`` of the job ``good``, which exists."""
    jobs.create(GOOD)
    arguments = ["watch", "good", "-n", jobs.namespace, "--kubeconfig", str(testbed.kubeconfig)]
    command = [sys.executable, "-u", "-m", "distillation_operator", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=CHECKOUT / "operator"
    )
    yield process
    process.kill()
    process.wait()


def read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """The lines up to the one with this text."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if text in line:
            return lines
    pytest.fail(f"{text!r} never came; {lines}")


@pytest.mark.timeout(120)
def test_watch_survives_a_restart_of_the_api_server(
    testbed: Testbed, jobs: Jobs, watching: subprocess.Popen[str]
) -> None:
    read_until(watching, "not yet seen by the operator")
    jobs.set_status("good", progress(10))
    read_until(watching, "generate: Running 10%, 10/100 rows")
    testbed.restart("kube-apiserver")
    _patiently(jobs, progress(20))
    lines = read_until(watching, "20/100 rows")
    assert not any("Traceback" in line for line in lines)
    jobs.set_status(
        "good", {**progress(100), "conditions": conditions("Complete"), "results": {"exportedModel": "x/y"}}
    )
    read_until(watching, "good: Complete.")
    read_until(watching, "/x/y")
    assert watching.wait(timeout=10) == 0


@pytest.mark.timeout(60)
def test_watch_of_a_job_that_fails_exits_with_1(jobs: Jobs, watching: subprocess.Popen[str]) -> None:
    read_until(watching, "not yet seen by the operator")
    jobs.set_status("good", {**progress(10), "conditions": conditions("Failed")})
    read_until(watching, "good: Failed.")
    assert watching.wait(timeout=10) == 1


@pytest.mark.timeout(60)
def test_watch_of_a_job_that_is_deleted_exits_with_1(jobs: Jobs, watching: subprocess.Popen[str]) -> None:
    read_until(watching, "not yet seen by the operator")
    jobs.delete("good")
    read_until(watching, "was deleted")
    assert watching.wait(timeout=10) == 1


def test_watch_of_no_job_exits_with_1(testbed: Testbed) -> None:
    arguments = ["watch", "absent", "-n", "default", "--kubeconfig", str(testbed.kubeconfig)]
    command = [sys.executable, "-m", "distillation_operator", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT / "operator", timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr == "distillation-operator: there is no DistillationJob absent in namespace default\n"


def test_compare_reads_the_jobs_of_a_namespace(testbed: Testbed, jobs: Jobs) -> None:
    jobs.create(GOOD)
    jobs.create(changed(put("metadata.name", "patient"), put("spec.retries", {"failures": 9})))
    jobs.set_status("good", {"phase": "Complete", "conditions": conditions("Complete"), "chipHours": "3.5"})
    names = ["good", f"{jobs.namespace}/patient", "absent"]
    command = [sys.executable, "-m", "distillation_operator", "compare", "-n", jobs.namespace]
    command += ["--kubeconfig", str(testbed.kubeconfig)]

    def compare(*names: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *names], capture_output=True, text=True, cwd=CHECKOUT / "operator", timeout=60, check=False
        )

    done = compare(*names[:2])
    assert (done.returncode, done.stderr) == (0, "")
    cells = [line.split() for line in done.stdout.splitlines()]
    assert ["state", "Complete", "-"] in cells
    assert ["retries.failures", "2", "9"] in cells
    assert ["chip-hours", "3.5", "-"] in cells
    failed = compare(*names)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert f"absent: there is no DistillationJob absent in namespace {jobs.namespace}" in failed.stderr


def _patiently(jobs: Jobs, status: dict[str, Any]) -> None:
    """Set a status just after a restart, when the client's own connection may be a broken one."""
    for _ in range(20):
        try:
            return jobs.set_status("good", status)
        except Exception:
            time.sleep(0.5)
    jobs.set_status("good", status)
    return None
